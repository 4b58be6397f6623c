"""The requests that the page may make of the daemon: a table with one row for each.

No row reveals a secret value, a key, a token, a bundle or an export, and none destroys anything. A request without a
row is answered with 404. Of a body only the members that its row names are passed on.
"""

from __future__ import annotations

from urllib.parse import quote

import orjson

from hublet.core.messages import Malformed
from hublet.core.values import dataclass

ANY = "*"
"""Stands for one segment of a path that may be any name."""


@dataclass(frozen=True, slots=True)
class Route:
    """A row. `method` and `path` (below `/api`) are the page's request; `admin` and `target` are the method and path of
    the request to the daemon.

    `target` has a `{}` for each `ANY` of the path, then for each of `fills`: members of the body whose values go into
    the path. `takes` names the members of the body that are passed on. `patience` is in seconds.
    """

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
        """The target and the body of the request to the daemon. Raises Malformed."""
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
    """The members of a body, all strings: exactly those of `names`. Raises Malformed."""
    try:
        value = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise Malformed("the body is not JSON") from None
    if not isinstance(value, dict) or set(value) != set(names) or not all(isinstance(w, str) for w in value.values()):
        raise Malformed(f"the body is an object of {', '.join(names) or 'nothing'}")
    return dict(value)
