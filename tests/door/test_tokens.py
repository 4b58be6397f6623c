"""Local API tokens: one text each, compared without an early end, refused when expired."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.door import tokens
from hublet.door.tokens import Token, bearer, make, parse, verify

now = datetime(2026, 1, 2, tzinfo=UTC)


@given(st.binary(min_size=32, max_size=32))
def test_a_token_is_found_again_by_its_text_alone(randomness: bytes) -> None:
    """A token has 50 characters; the Token that is kept has neither the text nor the random bytes."""
    text, token = make("zed", "read", randomness, now)
    assert text.startswith("hublet_")
    assert len(text) == 50
    assert verify(text, [token], now) is token
    assert randomness not in token.digest
    assert text[7:] not in repr(token)


def test_known_answer() -> None:
    """32 zero bytes."""
    text, token = make("zed", "read", bytes(32), now)
    assert text == "hublet_" + "A" * 43
    assert token.digest.hex() == "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"


@pytest.mark.parametrize(
    "text",
    [
        *("", "hublet_", "undefined", "con_" + "A" * 43, "hublet_" + "A" * 42, "hublet_" + "A" * 44),
        *("HUBLET_" + "A" * 43, "hublet_" + "A" * 42 + "=", "hublet_" + "A" * 42 + "+", "hublet_" + "A" * 42 + "é"),
        *("hublet_" + "A" * 42 + "B", "hublet_" + "A" * 42 + " ", " hublet_" + "A" * 42, "hublet_" + "A" * 42 + "\n"),
    ],
)
def test_what_is_not_a_token_is_none(text: str) -> None:
    """Also the three texts that decode to the same bytes as a real one, and nothing raises."""
    _, token = make("zed", "read", bytes(32), now)
    assert parse(text) is None
    assert verify(text, [token], now) is None


def test_an_expired_token_is_refused_from_its_very_moment() -> None:
    """A token without an end never expires."""
    text, token = make("zed", "secrets", b"a" * 32, now, now + timedelta(days=30))
    assert verify(text, [token], now + timedelta(days=30, microseconds=-1)) is token
    assert verify(text, [token], now + timedelta(days=30)) is None
    text, token = make("zed", "secrets", b"a" * 32, now)
    assert verify(text, [token], now + timedelta(days=9999)) is token


def test_every_token_is_compared_whether_or_not_one_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """No early end: the time does not tell where in the list a token stands, nor whether the text was one."""
    made = [make(str(n), "read", bytes([n]) * 32, now) for n in range(5)]
    compared: list[bytes] = []
    real = hmac.compare_digest
    monkeypatch.setattr(tokens.hmac, "compare_digest", lambda a, b: compared.append(a) or real(a, b))
    kept = [token for _, token in made]
    for text, expected in ((made[0][0], kept[0]), (made[4][0], kept[4]), ("hublet_" + "x" * 43, None), ("", None)):
        compared.clear()
        assert verify(text, kept, now) is expected
        assert len(compared) == 5


def test_a_digest_of_zeros_lets_nobody_in() -> None:
    """Zeros are compared in place of a text that is no token; they must not be a token."""
    assert verify("", [Token("zed", "read", bytes(32), now)], now) is None


@pytest.mark.parametrize(("scope", "size"), [("write", 32), ("", 32), ("read", 31)])
def test_a_token_with_another_scope_or_size_is_not_made(scope: str, size: int) -> None:
    """Refused at once, not at the first request."""
    with pytest.raises(ValueError):
        make("zed", scope, bytes(size), now)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("Bearer abc", "abc"),
        ("bearer  abc", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("Bearerabc", None),
    ],
)
def test_the_bearer_is_read_from_its_header(header: str | None, expected: str | None) -> None:
    """RFC 6750 section 2.1."""
    assert bearer(header) == expected
