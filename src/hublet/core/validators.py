"""Validators, by which an answer is known again, and how they are written down.

The Hub gives an ETag or a date with an answer, so that it need not send the same answer again (RFC 9110 section 8.8).
Where it gives nothing that lasts, a digest of the answer tells us that the same words have come again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hublet.core import operations as ops
from hublet.core.messages import Head, Malformed
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Validator:
    """The validator of one Operation's answer: the Hub's `etag`, or its `modified` date if it gave no ETag, each as the
    Hub wrote it; and our own `digest` of what it said, which is never sent. `asker` stands for the Hub, the key and the
    version of hublet that read the answer (`asker_of`): the validator is good for no other. `at` is when the answer
    came as a whole, in seconds of our own wall clock; 0 if that is not known."""

    asker: str
    etag: str | None = None
    modified: str | None = None
    digest: str = ""
    at: float = 0.0

    def header(self) -> tuple[str, str] | None:
        """The header of a conditional request (RFC 9110 section 13.1); None if the Hub gave neither ETag nor date."""
        if self.etag is not None:
            return "If-None-Match", self.etag
        return ("If-Modified-Since", self.modified) if self.modified is not None else None

    def fits(self, etag: str | None) -> bool:
        """Whether a 304 with this ETag can be about the same answer (weak comparison, RFC 9110 section 8.8.3.2)."""
        return etag is None or self.etag is None or etag.removeprefix("W/") == self.etag.removeprefix("W/")


def asker_of(url: str, key: str, version: str) -> str:
    """A hash that stands for a Hub, a key and the version of hublet that takes the Hub's answers apart. It reveals none
    of them, and is kept sealed all the same.

    The version is in it because another version may take the same answer apart differently: it may find a secret that
    the one before left in the text. After an upgrade no validator fits, and the first pass reads every answer as a
    whole.
    """
    said = b"\0".join((b"hublet/2/asker", url.encode(), key.encode(), version.encode()))
    return hashlib.sha256(said).hexdigest()[:32]


Validators = Mapping[ops.Operation, Validator]

LONGEST_BELIEVED = 7 * 86400.0
"""The longest that the Hub is believed that an answer is still the same, in seconds."""


def is_believed(operation: ops.Operation, validator: Validator, now: float) -> bool:
    """Whether a validator may still stand for an answer. Otherwise a Hub, or a proxy before it, that says 304 to
    everything would be believed for ever, and a part of an answer that was lost here would never come back.

    Each Operation has a limit of its own, between half of LONGEST_BELIEVED and all of it, so that not all that came in
    one pass is asked for unconditionally in one pass again. A validator of the future is not believed: the clock was
    set back.
    """
    name = hashlib.sha256(ops.write(operation).target.encode()).digest()
    share = int.from_bytes(name[:4], "big") / 2**32
    return 0 <= now - validator.at < LONGEST_BELIEVED * (1 - share / 2)


def validators_to_plain(validators: Validators) -> dict[str, list[str | float | None]]:
    """Validators as a JSON value, by the target of their Operation; `validators_from_plain` is the inverse."""
    return {ops.write(operation).target: validator_to_plain(v) for operation, v in validators.items()}


def validators_from_plain(plain: object) -> dict[ops.Operation, Validator]:
    """The inverse of `validators_to_plain`. What can't be read is left out: it is then asked for unconditionally."""
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
    """A validator as a JSON value."""
    return [validator.asker, validator.etag, validator.modified, validator.digest, validator.at]


def validator_from_plain(fields: object) -> Validator | None:
    """The inverse of `validator_to_plain`; None for any other value. Older versions wrote fewer fields."""
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
