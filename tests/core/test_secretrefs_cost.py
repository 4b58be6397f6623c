"""What an author can make the looking for secrets cost: no more than the length of what he wrote."""

from __future__ import annotations

import time
from unittest import mock

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.core.finding import find, put_back, strings

from hublet.core import referring, secretrefs, yamltree
from hublet.core.questions import Slug
from hublet.core.yamltree import Leaf, Tree


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("${{" * 40_000, "x"),
        ("${{ " + " " * 200_000, "x"),
        ("${{ secrets." + "a" * 200_000, "x"),
        ("a".join(["${{ secrets.X }}"] * 40) + "b", "a" * 50_000),
    ],
)
def test_hostile_texts_cost_no_more_than_their_length(source: str, value: str) -> None:
    """One author's YAML can't hold up the pass of everybody."""
    raw = yaml.safe_dump({"rules": [source]}, width=10**9)
    started = time.process_time()
    find({"rules": [value]}, raw)
    referring.referred(Slug("a", "b"), yamltree.read(raw))
    assert time.process_time() - started < 2


@pytest.mark.parametrize("length", [0, 5_000], ids=["short", "long"])
def test_many_rules_out_of_step_cost_no_more_than_their_length(length: int) -> None:
    """Two rules that become one text put every later one at another index than its source."""
    count = 200 if length else 6_000
    long = "x" * length
    sources = ["x ${{ inputs.a }}", "x ${{ inputs.b }}", *(f"{long} ${{{{ secrets.X }}}} {i}" for i in range(count))]
    config = {"rules": ["x same", *(f"{long} canary {i}" for i in range(count))]}
    started = time.process_time()
    found = secretrefs.find(config, "", {"rules": [Leaf(text, 0, 0) for text in sources]})
    assert time.process_time() - started < 2
    left = ["".join(found.holes[("config", "rules", 1 + i)][0::2]) for i in range(count)]
    assert not any("canary" in text for text in left)
    assert left[0] == f"{long}  0"
    assert left[-1] == ""


parts = st.sampled_from(["a", "b", " ", "${{ secrets.S }}", "${{ inputs.I }}", "${{ secrets.T }}"])
written_rules = st.lists(st.lists(parts, max_size=4).map("".join), max_size=6)
unrolled_rules = st.lists(st.text("ab S", max_size=5) | st.none(), max_size=6)


@given(written_rules, unrolled_rules, st.integers(0, 30))
def test_a_source_that_is_not_looked_for_any_more_hides_all_of_its_text(
    written: list[str], rules: list[str | None], most: int
) -> None:
    """Whenever comparing ends: each text is taken apart as it would have been, or nothing of it is left."""
    tree: Tree = {"rules": [Leaf(text, 0, 0) for text in written]}
    whole = secretrefs.find({"rules": rules}, "", tree)
    with mock.patch.object(secretrefs, "_MOST_COMPARED", most):
        found = secretrefs.find({"rules": rules}, "", tree)
    for path, rule in strings({"rules": rules}, ("config",)).items():
        before, now = (held.holes.get(path, (rule,)) for held in (whole, found))
        assert put_back(rule or "-", now, found) == rule
        assert now[0::2] in (before[0::2], ("", ""))
