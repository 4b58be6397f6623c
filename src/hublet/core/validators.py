"""Validators: what the Hub gives with an answer so that it need not send it again (RFC 9110 section 8.8), what we make
of an answer to know it again when the Hub gives nothing that lasts, and how they are written down."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hublet.core import operations as ops
from hublet.core.messages import Head, Malformed
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Validator:
    """Of one Operation's answer: an `etag`, or without one a `modified` date, as the Hub wrote it, if it did; and the
    `digest` of what it said, ours and never sent. `asker` is for whom and where it was given, and which version of
    hublet read the answer (`asker_of`): it is good for nobody else, nowhere else, and for no other version. `at` is
    when the answer came as a whole, in seconds of our own wall clock; 0 when nobody knows."""

    asker: str
    etag: str | None = None
    modified: str | None = None
    digest: str = ""
    at: float = 0.0

    def header(self) -> tuple[str, str] | None:
        """The header that asks conditionally (RFC 9110 section 13.1), if the Hub gave anything to ask with."""
        if self.etag is not None:
            return "If-None-Match", self.etag
        return ("If-Modified-Since", self.modified) if self.modified is not None else None

    def fits(self, etag: str | None) -> bool:
        """Whether a 304 with this ETag can be about what the validator is of (compared weakly, section 8.8.3.2)."""
        return etag is None or self.etag is None or etag.removeprefix("W/") == self.etag.removeprefix("W/")


def asker_of(url: str, key: str, version: str) -> str:
    """A word for a Hub, a key and the version of hublet that takes the Hub's answers apart. None of the three can be
    found out by it; it is kept sealed all the same.

    The version is in it because another one may take the same answer apart otherwise: it may find a secret that the one
    before left in the text. After an upgrade no validator fits, and the first pass reads every answer as a whole.
    """
    said = b"\0".join((b"hublet/2/asker", url.encode(), key.encode(), version.encode()))
    return hashlib.sha256(said).hexdigest()[:32]


Validators = Mapping[ops.Operation, Validator]

LONGEST_BELIEVED = 7 * 86400.0
"""The longest that the Hub is believed that an answer is still the same, in seconds."""


def is_believed(operation: ops.Operation, validator: Validator, now: float) -> bool:
    """Whether a validator may still stand for an answer. A Hub, or a proxy before it, that says 304 to everything would
    else be believed for ever, and what was lost here of an answer would never come back.

    Each operation has a limit of its own, between half of LONGEST_BELIEVED and all of it: what came in one pass is not
    all asked for as a whole in one pass again. A validator of the future (the clock was set back) is not believed.
    """
    name = hashlib.sha256(ops.write(operation).target.encode()).digest()
    share = int.from_bytes(name[:4], "big") / 2**32
    return 0 <= now - validator.at < LONGEST_BELIEVED * (1 - share / 2)


def validators_to_plain(validators: Validators) -> dict[str, list[str | float | None]]:
    """A JSON value, by the targets that are asked; the inverse is `validators_from_plain`."""
    return {ops.write(operation).target: validator_to_plain(v) for operation, v in validators.items()}


def validators_from_plain(plain: object) -> dict[ops.Operation, Validator]:
    """What can't be read is left out: it is asked for as a whole."""
    found = {}
    for target, fields in plain.items() if isinstance(plain, dict) else ():
        validator = validator_from_plain(fields)
        try:
            operation = ops.read("GET", (head := Head("GET", target)).segments, head.query, b"")
        except (Malformed, ops.UnknownPath, ops.MethodNotAllowed):
            continue
        if validator is not None:
            found[operation] = validator
    return found


def validator_to_plain(validator: Validator) -> list[str | float | None]:
    return [validator.asker, validator.etag, validator.modified, validator.digest, validator.at]


def validator_from_plain(fields: object) -> Validator | None:
    """The inverse; None for anything else. The later fields are missing in what an earlier hublet has written."""
    match fields:
        case [str(asker), str() | None as etag, str() | None as modified]:
            return Validator(asker, etag, modified)
        case [str(asker), str() | None as etag, str() | None as modified, str(digest)]:
            return Validator(asker, etag, modified, digest)
        case [str(asker), str() | None as etag, str() | None as modified, str(digest), float() | int() as at]:
            return Validator(asker, etag, modified, digest, float(at))
    return None


def can_be_conditional(operation: ops.Operation) -> bool:
    """Whether a 304 can answer it: a GET (RFC 9110 section 13.1) of something that is kept."""
    return ops.row_of(operation).method == "GET" and not isinstance(operation, ops.ListFullSlugs | ops.GetCheckoutUrl)
