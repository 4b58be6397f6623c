"""What is read of a config without the YAML library is always what the library would read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hublet.config import reading

EXAMPLE = Path(__file__).parents[1] / "config.example.yaml"

NAMES = [
    "hub",
    "sync",
    "on",
    "null",
    "a",
    "a",
    "a b",
    "a-b",
    "'a'",
    "?",
    "-",
    "<<",
    "A",
    "1",
    "a" * 1100,
    "---",
    "%YAML",
]
SEPARATORS = [":", ": ", ": ", ": ", ":  ", " : ", ":\t", ":#", ": #", ""]
WORDS = [
    "", "x", "x", "15m", "3001", "~", "null", "https://api.example/", "/a/b.c", "~/.a", "a:", "a: b", "a:b", "1:30",
    "a #b", "a#b", "#b", "a b", "[a]", "[a, b_2]", "[a,b]", "[a, ]", "[]", "[a, [b]]", "[a: b]", "[a:b]", "[", "{", "]",
    "- a", "-1", "'a'", '"a"', "a'b", "&a", "*a", "!a", "|", ">", "%", "@a", "a@b", "`", "...", ".5", "=", "<<", ",",
    "a,b", "a\tb", "\u00e9", "\u2028", "\x85", "\x0b", "\x00", "a\\b", "b" * 1100, "?", "? a",
]  # fmt: skip
INDENTS = ["", "", "  ", "  ", "  ", " ", "    ", "\t"]
TAILS = ["", "", "", " ", " # said", "# said", "\r", "\t"]
LINES = st.tuples(*(st.sampled_from(each) for each in (INDENTS, NAMES, SEPARATORS, WORDS, TAILS))).map("".join)
OTHERS = st.sampled_from(
    ["", "", "# said", "  # said", "# gesagt: \u00e9 \u4e2d", "\t# said", "   ", "---", "...", "\ufeff", "- a", "  - a"]
)


TRAPS = [
    "hub:\n  url: x\n  url: y", "hub:\n  url: x\nhub:\n  every: x", "hub:\n  url: x\n   every: y",
    "hub:\nsync:\n  every: x", "  every: x", "hub:\n  url: a:", "hub:\n  url:x", "hub:\n  url: [a, [b]]",
    "hub:\n  url: [a, 'b']", "hub:\n  # \x00\n  url: x", "hub:\n  # \x85 url: y\n  url: x", f"hub:\n  {'a' * 1100}: x",
]  # fmt: skip
"""Where a careless reader would differ from the library."""


@settings(deadline=None)
@given(st.lists(LINES | OTHERS, max_size=8).map("\n".join))
def test_what_is_read_without_the_library_is_what_it_reads(text: str) -> None:
    """Every name and value with its line. Where the library would report an error, it is used."""
    read_alike(text)


@pytest.mark.parametrize("text", TRAPS)
def test_no_trap_is_read_otherwise(text: str) -> None:
    read_alike(text)


def read_alike(text: str) -> None:
    try:
        plain = reading._plain(text)
    except reading._NotPlain:
        return
    complaints: list[object] = []
    assert plain == reading._by_library(text, lambda *said: complaints.append(said))
    assert not complaints


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "hub:\n  url: http://localhost:1/ # ours\n\nsync:\n    # often\n    every: 15m  \n"]
)
def test_what_is_plain_is_read_without_it(text: str) -> None:
    reading._plain(text)


def test_a_config_like_the_example_loads_no_library() -> None:
    """The library takes longer to load than all of the config's own modules."""
    code = (
        "import sys; from pathlib import Path; from hublet.config.loading import load_config;"
        "load_config(Path(sys.argv[1])); print('yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, EXAMPLE], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"
