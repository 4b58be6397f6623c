"""Reading JSON that has only one meaning. This is for the worker, since it reads a body twice.

orjson is strict where the standard library is not (UTF-8, lone surrogates, NaN and Infinity), with one exception: of a
key that an object has twice it takes the last. RFC 8259 section 4 leaves open what a parser does then.
"""

from __future__ import annotations

import json

import orjson

DEEPEST = 254
"""How many levels of arrays and objects orjson writes. It would read 1024, but such a value could not be served."""


MOST_VALUES = 4_000_000
"""The most values in one text: 64 MiB of `[],` would become 3 GB of lists. A list of assistants of that size (the
default of hub.size_limit) has fewer than two million values."""

_TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
_TOO_MANY = f"it has more than {MOST_VALUES} values"


class NotStrict(ValueError):
    """The text is no JSON, or JSON with several meanings. The sentence says why and quotes nothing."""


def loads(body: bytes) -> object:
    """The value of a JSON text (RFC 8259). Raises NotStrict if it is no JSON, has a key twice in one object, is nested
    deeper than DEEPEST, or has more than MOST_VALUES values. Raises MemoryError if it takes more memory than this
    process may have."""
    # Each element of an array and each member of an object follows one of these characters. Counting them also inside
    # strings is quick (50 ms for 64 MiB), and never counts too few.
    if len(body) > MOST_VALUES and body.count(b"[") + body.count(b"{") + body.count(b",") > MOST_VALUES:
        raise NotStrict(_TOO_MANY)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "memory" in str(error):
            raise MemoryError from None
        deep = "limit" in str(error)  # orjson refuses a text that is JSON only for its own limit of depth
        raise NotStrict(_TOO_DEEP if deep else "it is not JSON") from None
    try:
        written = orjson.dumps(value)
    except (orjson.JSONEncodeError, RecursionError):
        raise NotStrict(_TOO_DEEP) from None
    # Where a member was dropped, its colon is missing in what orjson writes. Colons inside strings are in both texts,
    # unless one was escaped. So only with an escaped colon or another number of colons is each object looked at.
    escaped = b"\\u003" in body and (b"\\u003a" in body or b"\\u003A" in body)  # most texts are searched only once
    if (escaped or body.count(b":") != written.count(b":")) and _says_a_key_twice(body):
        raise NotStrict("an object says a key twice")
    return value


def _says_a_key_twice(body: bytes) -> bool:
    found = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal found
        found = found or len({key for key, _ in pairs}) != len(pairs)

    json.loads(body, object_pairs_hook=look)
    return found
