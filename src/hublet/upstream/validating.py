"""By what an answer is known again next time: the Hub's validator, and a digest of our own.

The Hub's validator goes back into the head of a request. So only one that is short and well formed is taken; any other
counts as none. Few Hubs give one that lasts: they sign the addresses of icons anew for each answer, and an ETag over
all bytes is another one each time. Hence the digest, which leaves these signatures out.
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
"""A Last-Modified counts only if it was this many seconds before the Date of the answer: it has whole seconds, and a
second change within the same second would have the same one."""


def validator_of(headers: Mapping[str, str], asker: str) -> Validator | None:
    """The validator in the headers of an answer (RFC 9110 section 8.8); None if there is none that can be used."""
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
    """A digest of an answer's JSON value as `strict.loads` gave it. The queries in the addresses of icons don't count,
    in the places where `split` takes them for such: of an assistant and of an organization."""
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
