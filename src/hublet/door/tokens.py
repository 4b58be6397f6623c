"""Local API tokens: made, parsed, compared. Pure: randomness and the time are passed in, and nothing is stored here.

    hublet_ ‖ base64url(32 random bytes), 43 characters without padding

Only the SHA-256 of the random bytes is kept. A plain hash is enough because nobody can guess 256 random bits; a slow
hash would only slow down every request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, get_args

from hublet.core.values import dataclass

Scope = Literal["read", "secrets"]
scopes: tuple[Scope, ...] = get_args(Scope)
prefix = "hublet_"
_length = len(prefix) + 43


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token; never the token itself."""

    name: str
    scope: Scope
    digest: bytes
    created_at: datetime
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.scope not in scopes:
            raise ValueError(f"a token's scope is one of {', '.join(scopes)}")
        if len(self.digest) != 32:
            raise ValueError("a token's digest is a SHA-256")

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at


def make(
    name: str, scope: Scope, randomness: bytes, created_at: datetime, expires_at: datetime | None = None
) -> tuple[str, Token]:
    """A new token from 32 random bytes: the text, which is shown once, and the Token to keep."""
    if len(randomness) != 32:
        raise ValueError("a token is made from 32 random bytes")
    text = prefix + base64.urlsafe_b64encode(randomness).decode("ascii").rstrip("=")
    return text, Token(name, scope, hashlib.sha256(randomness).digest(), created_at, expires_at)


def parse(text: str) -> bytes | None:
    """The digest of a token as a client sends it, None when the text is no token. Each token has exactly one text."""
    if len(text) != _length or not text.startswith(prefix) or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text[len(prefix) :] + "=", altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    # 43 characters carry two spare bits. Both must be zero, else four texts would be the same token.
    if len(raw) != 32 or base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=") != text[len(prefix) :]:
        return None
    return hashlib.sha256(raw).digest()


def bearer(authorization: str | None) -> str | None:
    """The credential of an `Authorization: Bearer` header (RFC 6750 section 2.1), None when there is none."""
    if authorization is None:
        return None
    scheme, _, value = authorization.partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None


def verify(text: str, tokens: Iterable[Token], now: datetime) -> Token | None:
    """The token that `text` is; None when it is none of them, or has expired.

    The text is compared with every token, so that the time taken tells nothing about which token it resembles.
    """
    digest = parse(text)
    found: Token | None = None
    for token in tokens:
        same = hmac.compare_digest(token.digest, digest if digest is not None else bytes(32))
        if same and digest is not None and not token.expired(now):
            found = token
    return found


def to_plain(token: Token) -> dict[str, object]:
    """A token as the store keeps it: a value of JSON."""
    return {
        "name": token.name,
        "scope": token.scope,
        "digest": token.digest.hex(),
        "created_at": token.created_at.timestamp(),
        "expires_at": token.expires_at.timestamp() if token.expires_at else None,
    }


def all_from_plain(value: object) -> tuple[Token, ...]:
    """The tokens of a stored list of `to_plain`'s values. An entry of another shape is left out.

    The scope `admin`, which could be chosen once, is read as `secrets`: it never allowed more.
    """
    found: list[Token] = []
    for item in value if isinstance(value, list) else []:
        match item:
            case {
                "name": str(name),
                "scope": ("read" | "secrets" | "admin") as scope,
                "digest": str(digest),
                "created_at": float() | int() as created_at,
                "expires_at": float() | int() | None as expires_at,
            }:
                until = datetime.fromtimestamp(expires_at, UTC) if expires_at is not None else None
                made = datetime.fromtimestamp(created_at, UTC)
                found.append(Token(name, "read" if scope == "read" else "secrets", bytes.fromhex(digest), made, until))
    return tuple(found)
