"""Addresses and names: each its own, the same every time, and back again, whatever the Hub calls its assistants."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hublet.core.instructions import Instruction
from hublet.mcp.naming import named, slug_of, uri_of
from hublet.mcp.searching import search

PART = st.text(min_size=1, max_size=8).filter(lambda text: "/" not in text)
TEXT = st.text(alphabet=st.sampled_from("ab -1\u202e\x1b/ß"), max_size=5)
HELD = st.lists(
    st.tuples(
        st.sampled_from(["a/b", "a/b-1", "a/\u202eb", "a/ b"]),
        st.lists(st.builds(Instruction, st.sampled_from(["rule", "prompt"]), TEXT, TEXT), max_size=6),
    ),
    max_size=4,
    unique_by=lambda item: item[0],
)


@given(PART, PART)
def test_an_address_leads_back_to_its_assistant(owner: str, package: str) -> None:
    uri = uri_of(f"{owner}/{package}")
    assert uri.isascii()
    assert set(uri.removeprefix("hublet://")) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%/"
    )
    assert slug_of(uri) == f"{owner}/{package}"


@given(st.text(max_size=20) | st.text(max_size=20).map(lambda text: f"hublet://{text}"))
def test_any_text_is_an_address_or_none(text: str) -> None:
    slug = slug_of(text)
    assert slug is None or slug.partition("/")[0]


@given(HELD)
def test_no_two_instructions_share_a_name_and_each_has_one(held: list[tuple[str, list[Instruction]]]) -> None:
    names = named(held)
    assert len(names) == sum(len(each) for _, each in held)
    assert all(name.isprintable() and " " not in name for name in names)
    assert list(named(held[::-1]).items()) == list(names.items()), "whatever order they come in"


def test_a_name_is_the_assistants_and_its_own() -> None:
    rules = [Instruction("rule", "", "x"), Instruction("rule", "My rule", "y"), Instruction("prompt", "My rule", "z")]
    assert list(named([("acme/dev", rules)])) == ["acme/dev/rule-1", "acme/dev/My-rule", "acme/dev/My-rule-2"]


def test_words_are_found_in_any_case_and_order() -> None:
    held = named(
        [
            (
                "acme/dev",
                [
                    Instruction("rule", "Tests", "Every CHANGE comes with a test.", "why"),
                    Instruction("prompt", "p", "x"),
                ],
            ),
            ("acme/ops", [Instruction("rule", "Straße", "y" * 500 + " change " + "z" * 500)]),
        ]
    )
    assert [one["prompt"] for one in search(held, "change")] == ["acme/dev/Tests", "acme/ops/Straße"]
    assert [one["assistant"] for one in search(held, "test why EVERY")] == ["acme/dev"]
    assert [one["assistant"] for one in search(held, "STRASSE")] == ["acme/ops"]
    assert search(held, "change", "prompt") == search(held, "nowhere") == []
    (far,) = search(held, "change", slug="acme/ops")
    assert "change" in far["excerpt"]
    assert len(far["excerpt"]) <= 240
