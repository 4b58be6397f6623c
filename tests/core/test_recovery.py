"""The recovery code: what a person copies wrong is noticed, and nothing of it is ever repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.envelope import Key
from hublet.core.errors import UsageError
from hublet.core.recovery import code_of, key_of

key = Key(bytes(range(32)))
# Made with the stdlib's base64 and hashlib alone, from the layout in the docstring.
code = "AAAQ-EAYE-AUDA-OCAJ-BIFQ-YDIO-B4IB-CEQT-CQKR-MFYY-DENB-WHA5-DYPX-NWG5"


def test_a_code_has_the_letters_that_the_layout_says() -> None:
    """The known answer, both ways."""
    assert code_of(key) == code
    assert key_of(code) == key


@given(st.binary(min_size=32, max_size=32))
def test_every_key_comes_back_however_its_code_was_typed(value: bytes) -> None:
    """Case, spaces and dashes do not matter, and 0, 1, 8 are O, I, B."""
    made = code_of(Key(value))
    typed = f"  {made.lower().replace('-', ' ')}\n".replace("o", "0").replace("i", "1").replace("b", "8")
    assert key_of(made) == key_of(typed) == Key(value)


@pytest.mark.parametrize("at", range(0, 69, 3))
def test_every_slip_of_one_letter_is_noticed(at: int) -> None:
    """At any place, by any letter; the message holds neither the code nor a part of it."""
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567":
        slip = code[:at] + letter + code[at + 1 :]
        if code[at] in ("-", letter):
            continue
        with pytest.raises(UsageError, match="typing error") as caught:
            key_of(slip)
        assert not any(group in f"{caught.value}{caught.value.hint}" for group in slip.split("-"))


def test_two_groups_swapped_are_noticed() -> None:
    """Each letter is right, and the order is not."""
    groups = code.split("-")
    groups[3], groups[4] = groups[4], groups[3]
    with pytest.raises(UsageError, match="typing error"):
        key_of("-".join(groups))


@pytest.mark.parametrize("typed", ["", "AAAQ", code + "A", code[:-1], "é" * 56, "=" * 56, "\0" * 56, "9" * 56])
def test_what_is_no_code_is_a_sentence(typed: str) -> None:
    """And never a traceback."""
    with pytest.raises(UsageError) as caught:
        key_of(typed)
    assert caught.value.hint
