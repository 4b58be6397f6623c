"""What an answer is known by the next time: the Hub's validator, and a digest of our own.

A validator is the Hub's word and goes back into a request's head, so only what is short and well formed is taken;
anything else is as if none had been given. Few Hubs give one that lasts: the addresses of icons are signed anew for
each answer, and an ETag over all of its bytes is another one each time. Hence the digest, of what is said but for that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from hublet.core.validators import Validator

LONGEST = 256
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", re.ASCII)
_SETTLED = 60.0
"""A Last-Modified has whole seconds only: one that was this long ago when it was said has no second change in it."""


def validator_of(headers: Mapping[str, str], asker: str) -> Validator | None:
    """The validator of an answer with these headers (RFC 9110 section 8.8); None when it has none that can be used."""
    etag = headers.get("etag")
    if etag is not None:
        return Validator(asker, etag) if len(etag) <= LONGEST and _ETAG.fullmatch(etag) else None
    modified, date = headers.get("last-modified", ""), headers.get("date", "")
    if not _DATE.fullmatch(modified) or not _DATE.fullmatch(date):
        return None
    try:
        age = parsedate_to_datetime(date) - parsedate_to_datetime(modified)
    except ValueError:
        return None
    return Validator(asker, None, modified) if age.total_seconds() >= _SETTLED else None


def digest_of(value: object) -> str:
    """A word for an answer's JSON value, as `strict.loads` gave it: the same for the same answer and, for all practical
    purposes, for no other. The queries of icons' addresses don't count, where `split` takes those for addresses: of an
    assistant and of an organization."""
    return hashlib.blake2b(orjson.dumps(_unsigned(value)), digest_size=16).hexdigest()


def _unsigned(value: Any) -> Any:
    match value:
        case list():
            return [_unsigned(item) for item in value]
        case {"organizations": list(items)}:
            return value | {"organizations": [_unsigned(item) for item in items]}
        case {"iconUrl": str(address)}:
            return value | {"iconUrl": address.partition("?")[0]}
    return value
