"""Reading JSON that has one meaning only. For the worker: it looks at all of a body twice.

orjson is strict where the standard library is not (UTF-8, lone surrogates, NaN and Infinity), and lets one thing pass:
an object that says a key twice, of which it takes the last (RFC 8259 section 4 leaves open what a reader does then).
"""

from __future__ import annotations

import json

import orjson

DEEPEST = 254
"""Levels of arrays and objects that orjson writes; deeper values could be read (to 1024), and never told again."""


MOST_VALUES = 4_000_000
"""In one text: 64 MiB of `[],` would become 3 GB of lists. A list of assistants of that size (the usual hub.size_limit)
has fewer than two million."""

_TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
_TOO_MANY = f"it has more than {MOST_VALUES} values"


class NotStrict(ValueError):
    """Not JSON of one meaning; the sentence says why and quotes nothing."""


def loads(body: bytes) -> object:
    """The value of a JSON text (RFC 8259). Raises NotStrict: no JSON, a key given twice, nested deeper than DEEPEST,
    more than MOST_VALUES. Raises MemoryError when it takes more memory than this process may have."""
    # Each element of an array and each member of an object follows one of these. Those inside strings are counted too:
    # that is quick (50 ms for 64 MiB), and the count is never too small.
    if len(body) > MOST_VALUES and body.count(b"[") + body.count(b"{") + body.count(b",") > MOST_VALUES:
        raise NotStrict(_TOO_MANY)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "memory" in str(error):
            raise MemoryError from None
        deep = "limit" in str(error)  # that of its own is the one thing that it has against a text that is JSON
        raise NotStrict(_TOO_DEEP if deep else "it is not JSON") from None
    try:
        written = orjson.dumps(value)
    except (orjson.JSONEncodeError, RecursionError):
        raise NotStrict(_TOO_DEEP) from None
    # A member that was dropped took its colon along. Colons inside strings are the same in both texts, unless they were
    # escaped; then, and where they are not as many in both, each object is looked at.
    escaped = b"\\u003" in body and (b"\\u003a" in body or b"\\u003A" in body)  # one search through most texts, not two
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
