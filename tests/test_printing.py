"""What is said of many things at once."""

from __future__ import annotations

from hublet.cli.printing import together


def test_few_lines_of_one_reason_stay_as_they_are() -> None:
    """Up to three are named in full, each on its line."""
    assert together([("policy", "no"), ("icons", "yes"), ("lists", "no")]) == ["policy: no", "lists: no", "icons: yes"]


def test_many_lines_of_one_reason_become_one() -> None:
    """A Hub that is away is one line, not thirty."""
    lines = together([(f"question {n}", "could not connect") for n in range(30)] + [("policy", "weaker")])
    assert lines == ["question 0, question 1, question 2 and 27 more: could not connect", "policy: weaker"]
