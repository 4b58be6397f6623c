"""The peers of the hits: each gives the bodies that hublet gives, under the same headers and after the same checks.

A page is hublet's own answer, captured. The floor serves it from memory; the caches have it from an origin (the floor's
program again, letting everybody in), which for those "without upstream" is ended before the first measured request.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.processes import SERVER_CORE, family, free_port, on_core, running, wait_for

HERE = Path(__file__).parent
_OWN = ("date", "content-length", "connection", "age", "cache-control")
"""Headers that an origin says anew, or in its own way."""


@dataclass(frozen=True)
class Page:
    """An answer as hublet gives it: request target, header lines, body."""

    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass
class Server:
    """Something that answers; `pids` are its processes now, `address` a port or the path of a socket."""

    name: str
    address: str
    pids: Callable[[], list[int]]
    etags: dict[str, str] = field(default_factory=dict)
    host: str = ""

    def __post_init__(self) -> None:
        self.host = self.host or f"localhost:{self.address}"

    def ask(self, target: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """One request over TCP: (status, headers, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.address), timeout=10)
        with closing(connection):
            connection.request("GET", target, headers={"Host": self.host, **headers})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


def compiled(place: Path, name: str) -> Path | None:
    """A C program of this folder, built at `place`; None without a compiler."""
    if shutil.which("cc") is None:
        return None
    made = place / name
    subprocess.run(["cc", "-O2", "-o", made, HERE / f"{name}.c"], check=True, timeout=60)
    made.chmod(0o755)
    return made


class Peers:
    """Starts them on the server's core; everything ends with the stack."""

    def __init__(self, stack: ExitStack, place: Path, floor: Path, bearer: str, pages: Sequence[Page]) -> None:
        self._stack, self._place, self._floor, self._bearer, self._pages = stack, place, floor, bearer, pages
        memory = Path("/dev/shm")
        where = memory if memory.is_dir() and os.access(memory, os.W_OK) else place
        self._cache = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=where, prefix="hublet-bench-")))
        self._cache.chmod(0o777)

    def floor(self) -> Server:
        """The least that an answer costs."""
        pages = self._written("floor", lambda headers: [*headers])
        return self._stack.enter_context(self._running_floor("localhost", self._bearer, pages))

    def nginx(self, *, upstream: bool) -> Server | None:
        """`proxy_cache` in memory, one worker. Without upstream its entries are stale, and it tries each time."""
        if shutil.which("nginx") is None:
            return None
        port, name = free_port(), "nginx fresh" if upstream else "nginx, upstream gone"
        place = self._folder(f"nginx-{port}")
        return self._cached(
            name,
            lambda origin: ["nginx", "-p", str(place), "-c", self._config(place, "nginx.conf", _NGINX, port, origin)],
            port,
            upstream=upstream,
        )

    def varnish(self) -> Server | None:
        """In its grace, with the backend gone."""
        if shutil.which("varnishd") is None:
            return None
        port, place = free_port(), self._folder("varnish")

        def words(origin: str) -> list[str]:
            file = self._config(place, "default.vcl", _VARNISH, port, origin)
            where = ["-a", f"127.0.0.1:{port}", "-f", file, "-n", str(self._cache / "varnish")]
            return ["varnishd", "-F", "-j", "none", *where, "-s", "malloc,64m"]

        return self._cached("varnish grace", words, port, upstream=False)

    def squid(self) -> Server | None:
        """In `offline_mode`."""
        if shutil.which("squid") is None:
            return None
        port, place = free_port(), self._folder("squid")
        return self._cached(
            "squid offline",
            lambda origin: ["squid", "-N", "-f", self._config(place, "squid.conf", _SQUID, port, origin)],
            port,
            upstream=False,
        )

    def _folder(self, name: str) -> Path:
        place = self._cache / f"{name}-files"
        place.mkdir()
        place.chmod(0o777)  # some change to a user of their own
        return place

    def _config(self, place: Path, name: str, text: str, port: int, origin: str) -> str:
        for word, value in {
            "@PORT@": str(port),
            "@ORIGIN@": origin,
            "@BEARER@": self._bearer,
            "@DIR@": str(place),
        }.items():
            text = text.replace(word, value)
        file = place / name
        file.write_text(text)
        return str(file)

    def _cached(self, name: str, words: Callable[[str], list[str]], port: int, *, upstream: bool) -> Server:
        """A cache that has every page, from an origin that is there or was."""
        age = 86_400 if upstream else 1
        pages = self._written(f"origin-{age}", lambda headers: [*headers, ("Cache-Control", f"public, max-age={age}")])
        with ExitStack() as origins:
            origin = origins.enter_context(self._running_floor("-", "-", pages))
            log = self._place / f"{name.replace(' ', '-')}.log"
            process = self._stack.enter_context(running([*on_core(SERVER_CORE), *words(origin.address)], log=log))
            server = Server(name, str(port), lambda: family(process.pid))
            wait_for(lambda: self._warm(server), f"{name} answers ({log.read_text()[-500:]})")
            if upstream:
                self._stack.push(origins.pop_all())
        if not upstream:
            wait_for(lambda: self._older(server), f"{name} has an older answer", within=10)
        return server

    def _warm(self, server: Server) -> bool:
        try:
            return all(server.ask(page.target, self._known)[0] == 200 for page in self._pages for _ in range(2))
        except OSError:
            return False

    def _older(self, server: Server) -> bool:
        """Whether the entries have outlived their second."""
        answer = server.ask(self._pages[0].target, self._known)
        return answer[0] == 200 and int(answer[1].get("age", "2")) >= 2

    @property
    def _known(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._bearer}"}

    def _written(self, name: str, headers: Callable[[list[tuple[str, str]]], list[tuple[str, str]]]) -> list[str]:
        """The pages as arguments of the floor's program."""
        words = []
        for number, page in enumerate(self._pages):
            own = _OWN if name != "floor" else _OWN[:3]
            kept = [(key, value) for key, value in page.headers if key.lower() not in own]
            head, body = self._place / f"{name}-{number}.head", self._place / f"{name}-{number}.body"
            head.write_bytes("".join(f"{key}: {value}\r\n" for key, value in headers(kept)).encode())
            body.write_bytes(page.body)
            words += [page.target, str(head), str(body)]
        return words

    @contextmanager
    def _running_floor(self, host: str, bearer: str, pages: list[str]) -> Iterator[Server]:
        log = Path(tempfile.mkstemp(dir=self._place, suffix=".log")[1])
        with running([*on_core(SERVER_CORE), str(self._floor), "0", host, bearer, *pages], log=log) as process:
            wait_for(lambda: log.read_text().startswith("ready"), "the floor listens")
            yield Server("floor (C, epoll)", log.read_text().split()[1], lambda: [process.pid])


_NGINX = """
daemon off;
worker_processes 1;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log crit;
USER
events { worker_connections 512; }
http {
  access_log off;
  server_tokens off;
  sendfile on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  open_file_cache max=100 inactive=1h;
  client_body_temp_path @DIR@/body;
  proxy_temp_path @DIR@/temporary;
  proxy_cache_path @DIR@/cache keys_zone=pages:4m inactive=1d use_temp_path=off;
  map $http_authorization $known { default 0; "Bearer @BEARER@" 1; }
  server {
    listen 127.0.0.1:@PORT@;
    if ($http_host != "localhost:@PORT@") { return 403; }
    if ($known = 0) { return 401; }
    location / {
      proxy_pass http://127.0.0.1:@ORIGIN@;
      proxy_cache pages;
      proxy_cache_key $request_uri;
      proxy_cache_use_stale error timeout updating;
    }
  }
}
""".replace("USER\n", "user root;\n" if os.getuid() == 0 else "")

_VARNISH = """
vcl 4.1;
backend origin { .host = "127.0.0.1"; .port = "@ORIGIN@"; }
sub vcl_recv {
  if (req.http.Host != "localhost:@PORT@") { return (synth(403)); }
  if (req.http.Authorization != "Bearer @BEARER@") { return (synth(401)); }
  return (hash);
}
sub vcl_backend_response { set beresp.ttl = 1s; set beresp.grace = 1d; }
sub vcl_backend_error { return (abandon); }
"""

_SQUID = """
http_port 127.0.0.1:@PORT@ accel defaultsite=localhost:@PORT@
cache_peer 127.0.0.1 parent @ORIGIN@ 0 no-query originserver
never_direct allow all
acl ours req_header Host ^localhost:@PORT@$
acl known req_header Authorization ^Bearer.@BEARER@$
http_access allow ours known
http_access deny all
offline_mode on
cache_mem 64 MB
maximum_object_size_in_memory 4 MB
access_log none
cache_log @DIR@/cache.log
netdb_filename none
pinger_enable off
pid_filename @DIR@/squid.pid
coredump_dir @DIR@
visible_hostname localhost
shutdown_lifetime 0 seconds
"""
