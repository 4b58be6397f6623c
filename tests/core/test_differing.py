"""How two revisions differ, said in models, rules and tools."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hublet.core.differing import Difference, differences


def assistant(**config: Any) -> dict[str, Any]:
    return {"configResult": {"config": config}, "rawYaml": ""}


def test_items_are_told_apart_by_name_wherever_they_stand() -> None:
    old = assistant(models=[{"name": "A", "model": "a"}, {"name": "B", "model": "b"}])
    new = assistant(models=[{"name": "C", "model": "c"}, {"name": "A", "model": "a2"}])
    assert differences(old, new)[:3] == (
        Difference("models", "C", "added", ("name: C", "model: c")),
        Difference("models", "A", "changed", ("model: a → a2",)),
        Difference("models", "B", "removed", ("name: B", "model: b")),
    )


def test_a_long_text_differs_by_lines() -> None:
    old, new = ({"name": "R", "rule": f"one\n{word}\nthree"} for word in ("two", "zwei"))
    (found,) = differences(assistant(rules=[old]), assistant(rules=[new]))
    assert found == Difference("rules", "R", "changed", ("rule:", " one", "-two", "+zwei", " three"))


def test_rules_without_a_name_are_called_by_their_first_line() -> None:
    (found,) = differences(assistant(), assistant(rules=["Be brief.\nAlways."]))
    assert (found.section, found.name, found.how) == ("rules", "Be brief.", "added")


def test_a_key_of_the_config_that_is_no_section_is_a_setting() -> None:
    (found,) = differences(assistant(name="One"), assistant(name="Two"))
    assert found == Difference("settings", "name", "changed", ("One → Two",))


def test_the_order_counts_since_the_first_model_is_the_one_used() -> None:
    models = [{"name": "A"}, {"name": "B"}]
    (found,) = differences(assistant(models=models), assistant(models=models[::-1]))
    assert found == Difference("models", "order", "changed", ("A, B → B, A",))


def test_a_value_that_changed_shows_by_its_name() -> None:
    assert differences(assistant(), assistant(), ("KEY",)) == (Difference("secrets", "KEY", "changed"),)


def test_two_items_of_one_name_are_two() -> None:
    twin = {"name": "A"}
    (found,) = differences(assistant(models=[twin]), assistant(models=[twin, twin]))
    assert (found.name, found.how) == ("A (2)", "added")


def test_policies_organizations_and_blocks_have_differences_too() -> None:
    (policy,) = differences({"policy": {"allowMcpServers": True}}, {"policy": {"allowMcpServers": False}})
    assert policy.lines == ("allowMcpServers: true → false",)
    (gone,) = differences({"organizations": [{"id": "1", "name": "Acme"}]}, {"organizations": []})
    assert (gone.section, gone.name, gone.how) == ("organizations", "Acme", "removed")
    (block,) = differences({"content": "a: 1\nb: 2\n"}, {"content": "a: 1\nb: 3\n"})
    assert block.lines == (" a: 1", "-b: 2", "+b: 3")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "model", "x"]), inner),
    max_leaves=8,
)
configs = st.dictionaries(st.sampled_from(["models", "rules", "name", "mcpServers"]), json_values, max_size=4)


@given(configs, configs)
def test_nothing_differs_exactly_where_nothing_does(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Whatever a Hub sends in place of a config. That a section is empty or not there is the same."""
    assert differences(assistant(**old), assistant(**json.loads(json.dumps(old)))) == ()
    found = differences(assistant(**old), assistant(**new))
    assert all("\n" not in line for one in found for line in one.lines)
    if not found:
        filled = [{key: value for key, value in config.items() if value != []} for config in (old, new)]
        assert filled[0] == filled[1]
