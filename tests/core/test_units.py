"""Durations and sizes: one spelling each, read back as rendered, everything else a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.units import parse_duration, parse_size, render_duration, render_size


@given(st.integers(0, 10**9))
def test_durations_and_sizes_read_back_what_they_render(amount: int) -> None:
    """Every whole number of seconds and bytes has a text, and that text means it."""
    assert parse_duration(render_duration(amount)) == amount
    assert parse_size(render_size(amount)) == amount


@given(st.integers(0, 9_999_999), st.sampled_from("smhd"), st.sampled_from(["B", "KiB", "MiB", "GiB"]))
def test_rendering_gives_the_shortest_of_the_texts_that_mean_the_same(count: int, unit: str, size_unit: str) -> None:
    """What a person wrote comes back as the same amount in no more characters."""
    assert len(render_duration(parse_duration(f"{count}{unit}"))) <= len(f"{count}{unit}")
    assert parse_size(render_size(parse_size(f"{count}{size_unit}"))) == parse_size(f"{count}{size_unit}")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("12h", 43200), ("7d", 604800), ("0s", 0), ("0d", 0)]
)
def test_durations_are_what_people_write(text: str, seconds: int) -> None:
    """The four units."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "15", "1.5h", "-1m", "015m", "15 m", "15M", "1w", "1h30m", "١٥m", "m15", "99999999999s"]
)
def test_other_durations_are_refused(text: str) -> None:
    """No second spelling of anything."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "64", "64MB", "64mib", "64Mi", "MiB", "1.5GiB", "-1B", "07B", "64 MiB", "1TiB", "64BB"]
)
def test_other_sizes_are_refused(text: str) -> None:
    """MB above all, which is two different sizes."""
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(st.text(max_size=8))
def test_any_text_is_a_duration_or_a_sentence(text: str) -> None:
    """Nothing but ValueError, for both grammars."""
    for parse in (parse_duration, parse_size):
        told = ""
        try:
            assert parse(text) >= 0
        except ValueError as error:
            told = str(error)
        assert not told or "number" in told or "unit" in told
