"""What the page may ask of the daemon, and nothing else: a row a route.

No row reveals a secret value, a key, a token, a bundle or an export, or destroys anything. A request that has no row
is not found; a body hands on only the words that its row names.
"""

from __future__ import annotations

from urllib.parse import quote

import orjson

from hublet.core.messages import Malformed
from hublet.core.values import dataclass

ANY = "*"
"""Stands for one segment of a path that is a name."""


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is below `/api`; `target` is the admin door's, with `{}` for each name of the path or of `fills`, words of
    the body that go there. `takes` are the words of the body that are handed on."""

    method: str
    path: tuple[str, ...]
    admin: str
    target: str
    takes: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
    patience: float = 30.0

    def matches(self, method: str, path: tuple[str, ...]) -> bool:
        return (
            method == self.method
            and len(path) == len(self.path)
            and all(mine in (ANY, given) for mine, given in zip(self.path, path, strict=True))
        )

    def question(self, path: tuple[str, ...], body: bytes) -> tuple[str, dict[str, object] | None]:
        """The target and the body for the admin door. Raises Malformed."""
        names = [given for mine, given in zip(self.path, path, strict=True) if mine == ANY]
        if self.method == "GET":
            return self.target.format(*(quote(name, safe="") for name in names)), None
        words = words_of(body, self.takes + self.fills)
        names += [str(words.pop(name)) for name in self.fills]
        return self.target.format(*(quote(name, safe="") for name in names)), words or None


ROUTES = (
    Route("GET", ("status",), "GET", "/status"),
    Route("GET", ("tally",), "GET", "/tally"),
    Route("GET", ("secrets",), "GET", "/secrets"),
    Route("GET", ("history",), "GET", "/history", patience=120.0),
    Route("GET", ("history", ANY), "GET", "/history/{}", patience=120.0),
    Route("GET", ("diff", ANY, ANY), "GET", "/diff/{}/{}", patience=120.0),
    Route("POST", ("quarantine", "show"), "POST", "/quarantine/show", takes=("what",), patience=120.0),
    Route("POST", ("quarantine", "accept"), "POST", "/quarantine/accept", takes=("what",)),
    Route("POST", ("quarantine", "reject"), "POST", "/quarantine/reject", takes=("what",)),
    Route("POST", ("pin",), "POST", "/pins", takes=("what", "revision")),
    Route("POST", ("unpin",), "DELETE", "/pins/{}", fills=("what",)),
)


def route_of(method: str, path: tuple[str, ...]) -> Route | None:
    return next((route for route in ROUTES if route.matches(method, path)), None)


def words_of(body: bytes, names: tuple[str, ...]) -> dict[str, object]:
    """The words of a body, each a text; all of `names` and no other. Raises Malformed."""
    try:
        value = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise Malformed("the body is not JSON") from None
    if not isinstance(value, dict) or set(value) != set(names) or not all(isinstance(w, str) for w in value.values()):
        raise Malformed(f"the body is an object of {', '.join(names) or 'nothing'}")
    return dict(value)
