"""The endpoints of an assistant: which programs it runs and where it sends data, and how two versions differ in them.

An endpoint is a place in the unrolled config whose text decides which program is started or to whom a client talks: the
`command`, `args`, `cwd` and `env` of an MCP server, and every `apiBase`, `url`, `destination`, `host` or `proxy`. Pages
that are indexed (`docs`), rules and prompts have none.

Endpoints are gathered when a reply is taken apart, with references in place of secret values, and kept as a trait of
the content. So judgement compares what is kept with what the Hub says now without parsing either text. A rotated secret
changes an endpoint only in a command, in the host of an address, or where no reference names the secret; everywhere
else its name counts and its value does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import orjson

from hublet.core.places import SECTIONS, Path, Pieces
from hublet.core.records import UNNAMED, Content, reference
from hublet.core.values import dataclass

TRAIT = "endpoints"

_RUNS = frozenset({"command", "args", "cwd"})
_GOES = frozenset(
    {
        "apiBase", "apiUrl", "baseUrl", "destination", "endpoint", "host", "hostname", "onPremProxyUrl", "port",
        "proxy", "proxyUrl", "server", "serverUrl", "url",
    }
)  # fmt: skip
_STARTS = frozenset({"mcpServers", "modelContextProtocolServers", "transport", "mcpServer"})
"""Below these keys, `env` is the environment of a program that is started."""
_INDEXED = frozenset({"docs", "rules", "prompts"})
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint. `owner` is the item that it belongs to (`mcpServers GitHub`), and `keys` lead from there to it.
    `strings` are its texts, each in pieces: literal texts at even indexes, names of bindings at odd ones. With
    `default` the config names no address, and the endpoint stands for the one that the provider has by default."""

    owner: str
    keys: tuple[str, ...]
    strings: tuple[Pieces, ...]
    default: bool = False

    @property
    def place(self) -> str:
        return f"{self.owner}: {' '.join(self.keys)}"

    def shown(self) -> str:
        """The texts for people, with references in place of secret values."""
        words = ["".join(p if at % 2 == 0 else _shown(p) for at, p in enumerate(pieces)) for pieces in self.strings]
        text = " ".join(words)
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """An endpoint that was added, removed or changed. `old` and `new` are its texts as people see them; None when there
    was or is none."""

    place: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            text = f"{self.place} is new: {self.new}"
        elif self.new is None:
            text = f"{self.place} is gone: it was {self.old}"
        else:
            text = f"{self.place}: {self.old} → {self.new if self.new != self.old else 'another value'}"
        # The Hub's words are in it: nothing in them may break a line of the log or control a terminal.
        return "".join(c if c.isprintable() else "\ufffd" for c in text)


def endpoints_of(config: object, holes: Mapping[Path, Pieces]) -> tuple[Endpoint, ...]:
    """All endpoints of an unrolled config. `holes` are the strings with secrets in them, by a path that begins with
    `config`. No two endpoints have the same owner and keys: the owner of a second one gets a `+`."""
    found: dict[tuple[str, tuple[str, ...]], Endpoint] = {}
    for endpoint in _found(config, holes):
        owner = endpoint.owner
        while (owner, endpoint.keys) in found:
            owner += "+"
        found[owner, endpoint.keys] = Endpoint(owner, endpoint.keys, endpoint.strings, endpoint.default)
    return tuple(found.values())


def to_trait(endpoints: tuple[Endpoint, ...]) -> str:
    """Endpoints as the text of a trait."""
    return orjson.dumps([[e.owner, e.keys, e.strings, e.default] for e in endpoints]).decode()


def from_trait(text: str) -> tuple[Endpoint, ...]:
    """The inverse of `to_trait`."""
    return tuple(
        Endpoint(owner, tuple(keys), tuple(tuple(pieces) for pieces in strings), default)
        for owner, keys, strings, default in orjson.loads(text)
    )


def endpoint_changes(old: Content | None, new: Content) -> tuple[EndpointChange, ...]:
    """How the endpoints of two contents differ; `old` is None when there was no content. Empty if either content has no
    trait of endpoints: an older version of hublet has kept it, or it has no config."""
    if TRAIT not in new.traits or (old is not None and TRAIT not in old.traits):
        return ()
    was = {(e.owner, e.keys): e for e in from_trait(old.traits[TRAIT])} if old is not None else {}
    now = {(e.owner, e.keys): e for e in from_trait(new.traits[TRAIT])}
    found = []
    for key, endpoint in now.items():
        before = was.get(key)
        if before is None:
            if not endpoint.default:  # a new model at its provider's own address is no new place to send data to
                found.append(EndpointChange(endpoint.place, None, endpoint.shown()))
        elif _meant(before, old) != _meant(endpoint, new):
            found.append(EndpointChange(endpoint.place, before.shown(), endpoint.shown()))
    # An item that is gone as a whole runs nothing. If the item stays, an address that is gone can mean another default.
    owners = {endpoint.owner for endpoint in now.values()}
    found += [
        EndpointChange(endpoint.place, endpoint.shown(), None)
        for key, endpoint in was.items()
        if key not in now and not endpoint.default and endpoint.owner in owners
    ]
    return tuple(found)


def _found(config: object, holes: Mapping[Path, Pieces]) -> Iterator[Endpoint]:
    for section, value in config.items() if isinstance(config, dict) else ():
        if section in _INDEXED:
            continue
        if section not in SECTIONS or not isinstance(value, list):
            yield from _walk("config", (), {section: value}, ("config",), holes, starts=False)
            continue
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                continue
            owner, path = f"{section} {item.get('name') or item.get('provider') or index}", ("config", section, index)
            yield from _walk(owner, (), item, path, holes, starts=section in _STARTS)
            if section == "models" and not item.get("apiBase"):
                yield Endpoint(owner, ("apiBase",), ((f"the default of {item.get('provider')}",),), default=True)


def _walk(
    owner: str, keys: tuple[str, ...], value: object, path: Path, holes: Mapping[Path, Pieces], *, starts: bool
) -> Iterator[Endpoint]:
    match value:
        case dict():
            for key, child in value.items():
                inner, below = (*keys, str(key)), (*path, key)
                if key in _RUNS or key in _GOES or (key == "env" and starts):
                    yield from _taken(owner, inner, child, below, holes)
                else:
                    yield from _walk(owner, inner, child, below, holes, starts=starts or key in _STARTS)
        case list():
            for index, child in enumerate(value):
                yield from _walk(owner, (*keys, str(index)), child, (*path, index), holes, starts=starts)


def _taken(
    owner: str, keys: tuple[str, ...], value: object, path: Path, holes: Mapping[Path, Pieces]
) -> Iterator[Endpoint]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _taken(owner, (*keys, str(key)), child, (*path, key), holes)
    elif value not in (None, "", []):
        yield Endpoint(owner, keys, tuple(_strings(value, path, holes)))


def _strings(value: object, path: Path, holes: Mapping[Path, Pieces]) -> Iterator[Pieces]:
    match value:
        case str():
            yield tuple(holes.get(path, (value,)))
        case list():
            for index, child in enumerate(value):
                yield from _strings(child, (*path, index), holes)
        case dict():
            for key, child in value.items():
                yield (f"{key}:",)
                yield from _strings(child, (*path, key), holes)
        case _:
            yield (orjson.dumps(value).decode(),)


def _shown(binding: str) -> str:
    return "(a value that is not shown)" if binding.startswith(UNNAMED) else reference(binding)


def _meant(endpoint: Endpoint, content: Content | None) -> object:
    """What two versions of an endpoint are compared by: its texts, with those secret values filled in that count, and
    the hosts of its addresses."""
    bindings = content.bindings if content is not None else {}

    def text(pieces: Pieces, *, every: bool) -> str:
        return "".join(
            piece
            if at % 2 == 0
            else bindings[piece].reveal()
            if piece in bindings and (every or piece.startswith(UNNAMED))
            else reference(piece)
            for at, piece in enumerate(pieces)
        )

    goes = endpoint.keys[-1] in _GOES and "env" not in endpoint.keys
    kept = [text(pieces, every=endpoint.keys[-1] == "command") for pieces in endpoint.strings]
    hosts = [_host(text(pieces, every=True)) for pieces in endpoint.strings] if goes else []
    return kept, hosts


def _host(address: str) -> object:
    """Scheme, host and port of an address; the whole text when it is no URL."""
    try:
        parts = urlsplit(address)
        if parts.hostname:
            return parts.scheme, parts.hostname, parts.port
    except ValueError:
        pass
    return address
