"""Taking a validator off an answer. It is the Hub's word and goes back into a request's head, so only what is short and
well formed is taken; anything else is as if none had been given, and the next asking is a whole one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

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
