"""A Hub of any size, quick enough not to be what is measured: a process that makes its lists once and keeps the bytes.

    python -m tests.benchmarks.hub '{"number": 1000, "organizations": 10, "size": 20000}'

Prints its port. Besides the Hub's own paths it takes `POST /bench/change?number=N` (the first N assistants become
others) and `GET /bench/told` (requests, bytes sent and its own time since `POST /bench/forget`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import http.client
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

WORDS = tuple("".join(random.Random(n).choices("etaoinshrdlucmfwypvbgk", k=3 + n % 8)) for n in range(2000))
ROOT = Path(__file__).parents[2]
HEAD = "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n"


@dataclass(frozen=True)
class World:
    """`number` assistants of `size` bytes each, over `organizations` (0: all in the personal scope). `sizes` are more
    of them, in the personal list. Answers have ETags when `validators`, and are compressed, for who asks so, when
    `packed`."""

    number: int = 0
    organizations: int = 0
    size: int = 20_000
    sizes: tuple[int, ...] = ()
    validators: bool = True
    packed: bool = False

    def roster(self, scope: str | None) -> list[tuple[str, str, int]]:
        """(owner, package, size) of a scope's assistants."""
        if scope is None:
            sized = [("bench", f"of-{size}", size) for size in self.sizes]
            return sized + [("bench", f"a{n}", self.size) for n in range(self.number if not self.organizations else 0)]
        which = int(scope.removeprefix("org_"))
        return [(f"org{which}", f"a{n}", self.size) for n in range(which, self.number, self.organizations)]


def assistant(owner: str, package: str, size: int, revision: int) -> bytes:
    """One as the Hub lists it, of about `size` bytes: a name and one long rule, in its YAML and unrolled."""
    dice = random.Random(f"{owner}/{package}/{revision}")
    about = f"Revision {revision} of {owner}/{package}."
    empty = len(_item(owner, package, revision, about))
    room = max(0, size - empty) // 2
    rule = about + " " + " ".join(dice.choices(WORDS, k=room // 5 + 1))
    return _item(owner, package, revision, rule[: len(about) + room])


def _item(owner: str, package: str, revision: int, rule: str) -> bytes:
    name = f"{owner} {package}"
    config = {"name": name, "version": f"1.0.{revision}", "rules": [rule]}
    source = f"name: {name}\nversion: 1.0.{revision}\nschema: v1\nrules:\n  - {rule}\n"
    value = {
        "configResult": {"config": config, "configLoadInterrupted": False},
        "ownerSlug": owner,
        "packageSlug": package,
        "iconUrl": None,
        "onPremProxyUrl": None,
        "useOnPremProxy": False,
        "rawYaml": source,
    }
    return json.dumps(value, separators=(",", ":")).encode()


class Answers:
    """Bodies by path, made when first asked for and kept until a change."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.changed: dict[str, int] = {}
        self._kept: dict[tuple[str, bool], tuple[bytes, str]] = {}
        self.requests = self.sent = 0
        self.busy = 0.0

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        began = time.perf_counter()
        split = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        if split.path.startswith("/bench/"):
            return _reply("200 OK", self._told(split.path, query))
        packed = self.world.packed and "gzip" in headers.get("accept-encoding", "")
        kept = self._kept.get((target, packed)) if method == "GET" else None
        if kept is None:
            status, value = self._find(unquote(split.path), query, body)
            whole = gzip.compress(value, 1, mtime=0) if packed else value
            kept = whole, f'"{hashlib.blake2b(whole, digest_size=12).hexdigest()}"'
            if method == "GET" and status == "200 OK":
                self._kept[target, packed] = kept
        else:
            status = "200 OK"
        more = "Content-Encoding: gzip\r\n" if packed else ""
        if self.world.validators and status == "200 OK":
            more += f"ETag: {kept[1]}\r\n"
            if headers.get("if-none-match") == kept[1]:
                status, kept = "304 Not Modified", (b"", kept[1])
        said = _reply(status, kept[0], more)
        self.requests += 1
        self.sent += len(said)
        self.busy += time.perf_counter() - began
        return said

    def _told(self, path: str, query: dict[str, str]) -> bytes:
        if path == "/bench/change":
            number = int(query["number"])
            for owner, package, _ in self._all():
                if number == 0:
                    break
                slug = f"{owner}/{package}"
                self.changed[slug] = self.changed.get(slug, 0) + 1
                number -= 1
            self._kept.clear()
        elif path == "/bench/forget":
            self.requests, self.sent, self.busy = 0, 0, 0.0
        return json.dumps({"requests": self.requests, "sent": self.sent, "busy": self.busy}).encode()

    def _all(self) -> Iterator[tuple[str, str, int]]:
        for scope in (None, *(f"org_{n}" for n in range(self.world.organizations))):
            yield from self.world.roster(scope)

    def _find(self, path: str, query: dict[str, str], body: bytes) -> tuple[str, bytes]:
        match path.strip("/").split("/"):
            case ["ide", "list-assistants"]:
                members = self.world.roster(query.get("organizationId"))
                return "200 OK", b"[" + b",".join(
                    map(self._one, *zip(*members, strict=True))
                ) + b"]" if members else b"[]"
            case ["ide", "get-assistant", owner, package]:
                for one in self.world.roster(query.get("organizationId")):
                    if one[:2] == (owner, package):
                        return "200 OK", self._one(*one)
                return "404 Not Found", b'{"message":"Assistant not found"}'
            case ["ide", "list-organizations"]:
                names = range(self.world.organizations)
                found = [{"id": f"org_{n}", "name": f"Org {n}", "slug": f"org{n}", "iconUrl": None} for n in names]
                return _ok({"organizations": found})
            case ["ide", "policy"]:
                return _ok({"policy": None, "orgSlug": None})
            case ["ide", "free-trial-status"]:
                counts = {"chatCount": 0, "autocompleteCount": 0, "chatLimit": 50, "autocompleteLimit": 2000}
                return _ok({"optedInToFreeTrial": False, **counts})
            case ["auth", "scope"]:
                return _ok({"organizationId": None})
            case ["ide", "sync-secrets"]:
                return _ok([None for _ in json.loads(body)["fqsns"]])
        return "404 Not Found", b'{"message":"Not found"}'

    def _one(self, owner: str, package: str, size: int) -> bytes:
        return assistant(owner, package, size, self.changed.get(f"{owner}/{package}", 0))


def _ok(value: Any) -> tuple[str, bytes]:
    return "200 OK", json.dumps(value).encode()


def _reply(status: str, body: bytes, more: str = "") -> bytes:
    return HEAD.format(status=status, length=len(body), more=more).encode() + body


class Connection(asyncio.Protocol):
    """Requests one after the other; enough HTTP for clients that are known."""

    def __init__(self, answers: Answers) -> None:
        self._answers, self._got = answers, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        while b"\r\n\r\n" in self._got:
            head, _, rest = self._got.partition(b"\r\n\r\n")
            line, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                return
            self._got = rest[length:]
            method, target, _ = line.split(" ")
            self._transport.write(self._answers.answer(method, target, headers, rest[:length]))


async def serve(world: World) -> None:
    answers = Answers(world)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(answers), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@dataclass
class RunningHub:
    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tell(self, method: str, path: str) -> dict[str, float]:
        """One of the Hub's own paths below /bench."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, f"/bench/{path}")
            told: dict[str, float] = json.loads(connection.getresponse().read())
            return told

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@contextmanager
def hub_of(world: World, *, before: Sequence[str] = ()) -> Iterator[RunningHub]:
    """A running one; `before` are words before its command."""
    words = [*before, sys.executable, "-m", "tests.benchmarks.hub", json.dumps(asdict(world))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        hub = RunningHub(process, int(process.stdout.readline()))
        try:
            yield hub
        finally:
            hub.stop()


if __name__ == "__main__":
    plain = json.loads(sys.argv[1])
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(World(**plain | {"sizes": tuple(plain.get("sizes", ()))})))
