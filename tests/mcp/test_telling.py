"""What a client is told follows from two looks compared."""

from __future__ import annotations

from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated

from hublet.mcp.telling import Look, differences

ONE = Look({"a": "1", "b": "1"}, frozenset({("a",), ("b",)}), frozenset({("p",)}))


def test_the_same_is_nothing() -> None:
    assert differences(ONE, ONE) == differences(Look(), Look()) == ()


def test_a_resource_that_changed_came_or_went_is_told_by_its_address() -> None:
    changed = Look({"a": "2", "b": "1"}, ONE.entries, ONE.prompts)
    assert differences(ONE, changed) == (ResourceUpdated("a"),)
    gone = Look({"b": "1", "c": "1"}, frozenset({("b",), ("c",)}), ONE.prompts)
    assert differences(ONE, gone) == (ResourceUpdated("a"), ResourceUpdated("c"), ResourcesListChanged())


def test_lists_are_told_apart() -> None:
    assert differences(ONE, Look(ONE.revisions, ONE.entries, frozenset())) == (PromptsListChanged(),)
    titled = Look(ONE.revisions, frozenset({("a", "title"), ("b",)}), ONE.prompts)
    assert differences(ONE, titled) == (ResourcesListChanged(),)
