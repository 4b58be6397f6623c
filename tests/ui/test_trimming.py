"""What goes to the page is bounded, and says so."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hublet.ui.trimming import CUT, LONGEST_LIST, LONGEST_TEXT, trimmed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=5))
def test_what_is_small_stays_as_it_is(value: dict[str, Any]) -> None:
    """And is the same a second time."""
    assert trimmed(value) == value


@given(st.integers(1, 3 * LONGEST_TEXT), st.integers(0, 2))
def test_no_text_is_longer_than_the_limit(size: int, depth: int) -> None:
    """However deep it stands; what was cut ends with a mark."""
    value: Any = "x" * size
    for _ in range(depth):
        value = [{"inner": value}]
    found = trimmed({"value": value})
    inner = found["value"]
    for _ in range(depth):
        inner = inner[0]["inner"]
    assert len(inner) == min(size, LONGEST_TEXT)
    assert inner.endswith("…") == (size > LONGEST_TEXT)
    assert (CUT in found) == (size > LONGEST_TEXT)


def test_a_list_is_cut_too() -> None:
    """A Hub that names a million assistants does not stop the browser."""
    found = trimmed({"many": list(range(LONGEST_LIST + 1))})
    assert len(found["many"]) == LONGEST_LIST
    assert found[CUT] is True
