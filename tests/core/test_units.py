"""Durations and sizes: one spelling each, everything else a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.units import parse_duration, parse_size


@given(st.integers(0, 9_999_999_999), st.sampled_from([("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]))
def test_a_duration_is_its_number_times_its_unit(count: int, unit: tuple[str, int]) -> None:
    """Up to ten digits."""
    assert parse_duration(f"{count}{unit[0]}") == count * unit[1]


@given(st.integers(0, 9_999_999_999), st.sampled_from([("B", 1), ("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30)]))
def test_a_size_is_its_number_times_its_unit(count: int, unit: tuple[str, int]) -> None:
    """Up to ten digits."""
    assert parse_size(f"{count}{unit[0]}") == count * unit[1]


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
