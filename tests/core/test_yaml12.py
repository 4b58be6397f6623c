"""YAML as authors write it: read by the rules of 1.2, refused with one sentence, never without end."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hublet.core import yaml12, yamlwrite
from hublet.core.yaml12 import YamlError, read

OLD = "%YAML 1.1\n---\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("n", "n"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e3", 1000),
        (".5", 0.5),
        ("+1", 1),
        ("-.inf", -math.inf),
        ("~", None),
        ("", None),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("0b1", "0b1"),
        ("<<", "<<"),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("'012'", "012"),
        ("!!str 012", "012"),
        ('!!int "3"', 3),
        ("!!float 3", "3"),
        ("!own 1", "1"),
    ],
)
def test_a_plain_scalar_means_what_the_core_schema_says(text: str, value: object) -> None:
    found = read(text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True),
        ("n", False),
        ("012", 10),
        ("1:30", 90),
        ("1_000", 1000),
        ("0b11", 3),
        ("0o7", "0o7"),
        ("-1:30.5", -90.5),
    ],
)
def test_a_directive_switches_to_the_rules_of_1_1(text: str, value: object) -> None:
    found = read(OLD + f"a: {text}")
    assert found == {"a": value}


def test_merge_keys_are_of_1_1_alone() -> None:
    """Otherwise `<<` is a key like any other. Own keys win, wherever they stand, and so do those of earlier sources."""
    text = "x: &x {a: 1, b: 1}\nz: &z {b: 2, c: 2}\nq: {<<: [*x, *z], c: 3}\n"
    assert read(text)["q"] == {"<<": [{"a": 1, "b": 1}, {"b": 2, "c": 2}], "c": 3}  # type: ignore[call-overload, index]
    assert read(OLD + text)["q"] == {"a": 1, "b": 1, "c": 3}  # type: ignore[call-overload, index]


def test_a_key_becomes_a_text_as_in_javascript() -> None:
    assert read("1: a\n1.5: b\ntrue: c\n~: d\n1e21: e\n0.00001: f") == {
        "1": "a",
        "1.5": "b",
        "true": "c",
        "": "d",
        "1e+21": "e",
        "0.00001": "f",
    }


@pytest.mark.parametrize(
    "text",
    ["a: b", "\ufeffa: b", "a: b\r\n", "a: b\n...\n", "---\na: b", "# c\na: b", "%YAML 1.2\n---\na: b", "a: b\n \t\n"],
)
def test_marks_and_line_ends_change_nothing(text: str) -> None:
    assert read(text) == {"a": "b"}


def test_characters_that_1_1_takes_for_line_ends_are_characters() -> None:
    """And so is whatever libyaml would refuse: a prompt may hold it."""
    for odd in ("\x85", "\u2028", "\u2029", "\x07", "\x1b", "\x7f", "\ufeff", "\r"):
        assert read(f"a: |\n  one{odd}two\nb: 'x{odd}y'\n") == {"a": f"one{odd}two\n", "b": f"x{odd}y"}
    assert read("a: |\n  👍🏽 \U000f0001 \x07") == {"a": "👍🏽 \U000f0001 \x07\n"}


def test_a_block_scalar_needs_no_line_end() -> None:
    assert read("a: |\n  x") == read("a: |\n  x\n") == {"a": "x\n"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "line"),
        ("a: 1\na: 2", "given twice"),
        ("1: a\n1.0: b", "given twice"),
        ("a\n---\nb", "more than one document"),
        ("a:\n\t- b", "line 2"),
        ("a: *nope", "alias"),
        ("&a [*a]", "alias"),
        ("a: !!binary aGk=", "!!binary"),
        ("a: !!set {b}", "!!set"),
        ("? [a]\n: 1", "a key is a list"),
        (OLD + "a: 2001-01-01", "a date"),
        (OLD + "a: {<<: 1}", "merged"),
        ("[" * 200, "deeper"),
        ("x" * (5 * 1024 * 1024), "longer"),
        ("%YAML 3.0\n---\na", "line"),
    ],
)
def test_what_is_no_yaml_is_told_in_one_line(text: str, why: str) -> None:
    with pytest.raises(YamlError) as caught:
        read(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bomb_does_not_unfold() -> None:
    """Nine levels of nine aliases; and one anchor may be used 99 times."""
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(YamlError, match="alias too often"):
        read("\n".join(["l0: &l0 [x, x, x]", *levels]))
    used = "- *x\n"
    assert len(read("- &x {a: 1}\n" + used * 99)) == 100  # type: ignore[arg-type]
    with pytest.raises(YamlError, match="alias too often"):
        read("- &x {a: 1}\n" + used * 100)


_texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.text("ab \n\t:#-'\"{}[]01e.+~\\|>%@`&*!?,=<\x85\u2028🔑", max_size=12),
    st.sampled_from(
        [
            "on",
            "012",
            "1e3",
            "1:30",
            "1_000",
            "2001-01-01",
            "~",
            "null",
            "y",
            "0x1",
            "0o7",
            ".5",
            "<<",
            "---",
            "...",
            "1.0.0",
            "1.2",
            "=",
            "x\n",
            "x\n\n",
        ]
    ),
)
_values = st.recursive(
    st.one_of(_texts, st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False)),
    lambda child: st.one_of(st.lists(child, max_size=4), st.dictionaries(_texts, child, max_size=4)),
    max_leaves=10,
)


@given(_values)
def test_what_is_written_is_read_back_by_both_sets_of_rules(value: Any) -> None:
    """PyYAML reads by those of 1.1. The same value gives the same text."""
    text = yamlwrite.dump(value)
    assert yaml12.read(text) == value
    assert yaml.safe_load(text) == value
    assert yamlwrite.dump(yaml12.read(text)) == yamlwrite.dump(yaml12.read(text))


def test_a_config_is_written_as_a_person_would() -> None:
    """Blocks for what has lines, quotes only where they are needed."""
    head = "name: Chat\nversion: 1.0.0\n"
    value = {
        "name": "Chat",
        "version": "1.0.0",
        "rules": ["Be brief.", {"name": "on", "rule": "One.\nTwo.\n"}],
        "data": [],
    }
    assert yamlwrite.dump(value) == (
        head + 'rules:\n  - Be brief.\n  - name: "on"\n    rule: |\n      One.\n      Two.\ndata: []\n'
    )


def test_half_a_character_and_an_endless_key_are_not_written() -> None:
    for value in ("\ud800", {"k" * 2000: 1}):
        with pytest.raises(ValueError, match=r"half|long"):
            yamlwrite.dump(value)
    with pytest.raises(TypeError):
        yamlwrite.dump(object())
