"""Two real users of one machine, made for these tests: what the second one can do at the first one's hublet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hublet.core import operations as ops
from hublet.core.passthrough import RULES
from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.server import HubServer
from tests.running import Home, RunningDaemon, eventually, missing, python_of_all, without_rights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="needs root to make users"),
    pytest.mark.skipif(bool(missing("useradd", "userdel", "setpriv")), reason=missing("useradd", "userdel", "setpriv")),
]

PATHS: tuple[tuple[str, str], ...] = (
    *(
        (row.method, "/" + "/".join("x" if part == ops.Row.wildcard else part for part in row.path))
        for row in ops.TABLE
    ),
    *((method, "/" + "/".join(rule.path).replace("*", "x")) for rule in RULES for method in sorted(rule.methods)),
    ("GET", "/"),
    ("GET", "/status"),
    ("POST", "/sync"),
    ("POST", "/unlock"),
    ("GET", "/audit"),
    ("GET", "/tokens"),
    ("POST", "/hublet/v1/x"),
    ("GET", "/hublet/v1/status"),
    ("GET", "/hublet/v1/events"),
    ("GET", "/metrics"),
)
"""Every row of every table, and what the admin door has."""

_VISIT = """
import http.client, json, socket, sys
order = json.load(sys.stdin)
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(order["socket"])
found = []
for method, path in order["paths"]:
    connection = Unix("x") if order["socket"] else http.client.HTTPConnection(order["host"], order["port"], timeout=30)
    try:
        connection.putrequest(method, path, skip_host="Host" in order["headers"])
        for name, value in order["headers"].items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        response = connection.getresponse()
        found.append([response.status, response.read().decode("latin-1")])
    except OSError as error:
        found.append([type(error).__name__, ""])
    connection.close()
print(json.dumps(found))
"""


@dataclass(frozen=True)
class User:
    name: str
    uid: int

    def visit(
        self,
        *paths: tuple[str, str],
        port: int = 0,
        host: str = "localhost",
        socket: Path | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[tuple[Any, str]]:
        """(status or the name of an error, body) for each path, as this user and without any other right."""
        order = {
            "paths": paths, "port": port, "host": host, "socket": str(socket or ""), "headers": dict(headers or {}),
        }  # fmt: skip
        python = python_of_all()
        assert python
        done = subprocess.run(
            [*without_rights(self.uid), python, "-I", "-c", _VISIT],
            input=json.dumps(order), text=True, capture_output=True, timeout=100, cwd="/", check=False,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [(status, body) for status, body in json.loads(done.stdout)]


@contextmanager
def real_user(name: str) -> Iterator[User]:
    make = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    subprocess.run(make, check=True, capture_output=True)
    try:
        import pwd

        yield User(name, pwd.getpwnam(name).pw_uid)
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)


@pytest.fixture(scope="module")
def users() -> Iterator[tuple[User, User]]:
    """The owner and the other one."""
    with real_user(f"hublet-a-{os.getpid()}") as owner, real_user(f"hublet-b-{os.getpid()}") as other:
        yield owner, other


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that every user can enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="hublet-users-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextmanager
def daemon_of(owner: User, home_path: Path, hub: HubServer, access: str) -> Iterator[RunningDaemon]:
    home = Home(home_path, owner.uid)
    home_path.mkdir()
    home.configure(hub.url, settings={"serve": {"access": access, "socket": "~/api/api.sock"}})
    home.login(DEMO_KEY)
    with home.daemon() as daemon:
        eventually(lambda: " hublet: pass: " in daemon.log.read_text())
        yield daemon


@pytest.fixture(scope="module")
def daemon(users: tuple[User, User], place: Path, hub: HubServer) -> Iterator[RunningDaemon]:
    with daemon_of(users[0], place / "either", hub, "either") as daemon:
        yield daemon


def socket_of(daemon: RunningDaemon) -> Path:
    return daemon.home.path / "api" / "api.sock"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_every_endpoint_refuses_the_other_user(
    users: tuple[User, User], daemon: RunningDaemon, hub: HubServer, host: str
) -> None:
    """On both loopback addresses, with one answer for all; the Hub hears nothing of it."""
    before = len(hub.hub.requests)
    found = users[1].visit(*PATHS, port=daemon.port, host=host)
    refused = {(status, body) for status, body in found if "sign-in is kept" not in body}
    assert refused == {(403, '{"message":"only the user who runs hublet is answered here"}')}
    assert {status for status, body in found if "sign-in is kept" in body} == {503}  # /auth/refresh: never a refusal
    assert len(hub.hub.requests) == before


def test_a_guessed_host_or_credential_does_not_help(users: tuple[User, User], daemon: RunningDaemon) -> None:
    """The right Host, a wrong one, headers that a proxy would be believed for, tokens and keys of the right shape."""
    _, other = users
    asked = (("GET", "/ide/list-assistants"), ("POST", "/ide/sync-secrets"), ("GET", "/no/such"))
    for headers in (
        {"Host": f"localhost:{daemon.port}"},
        {"Host": f"127.0.0.1:{daemon.port}"},
        {"Host": f"[::1]:{daemon.port}"},
        {"Host": "localhost"},
        {"Host": users[0].name},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Authorization": "Bearer hublet_" + "A" * 43},
        {"Authorization": "Bearer con_guessed"},
        {"Authorization": f"Bearer {users[0].name}"},
    ):
        assert {status for status, _ in other.visit(*asked, port=daemon.port, headers=headers)} == {403}, headers


def test_open_paths_tell_the_other_user_nothing(users: tuple[User, User], daemon: RunningDaemon) -> None:
    """Alive and ready, and a proof that only the owner's commands can check."""
    open_paths = (("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/hublet/v1/proof/x"), ("GET", "/icons/x"))
    alive, ready, proof, icon = users[1].visit(*open_paths, port=daemon.port)
    assert alive == (200, '{"status":"alive"}')
    assert ready == (200, '{"status":"ready"}')
    assert (proof[0], len(proof[1])) == (200, 64)
    assert icon[0] == 404


def test_the_other_user_does_not_get_to_the_unix_sockets(users: tuple[User, User], daemon: RunningDaemon) -> None:
    """Directory and file keep them out; and where both were opened wide, the kernel's word does."""
    owner, other = users
    sockets = (socket_of(daemon), daemon.home.runtime / "admin.sock")
    for socket in sockets:
        assert {error for error, _ in other.visit(*PATHS[:3], socket=socket)} == {"PermissionError"}
        modes = [(path, path.stat().st_mode & 0o777) for path in (socket.parent, socket)]
        socket.parent.chmod(0o755)
        assert {error for error, _ in other.visit(*PATHS[:3], socket=socket)} == {"PermissionError"}
        socket.chmod(0o666)
        try:
            asked = (*PATHS, ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/icons/x"))
            assert {status for status, body in other.visit(*asked, socket=socket) if "sign-in" not in body} == {403}
        finally:
            for path, mode in reversed(modes):
                path.chmod(mode)
    assert owner.visit(("GET", "/ide/policy"), socket=sockets[0])[0][0] == 200


def test_the_other_user_is_counted_and_named_in_the_audit_log(users: tuple[User, User], daemon: RunningDaemon) -> None:
    """By number; the owner reads that, the other one can't."""
    _, other = users
    other.visit(("GET", "/ide/policy"), port=daemon.port)
    status = json.loads(daemon.home.hublet("status", "--json").stdout)
    assert status["counters"]["refused:other-user"] >= 1
    lines = [json.loads(line) for line in daemon.home.hublet("audit", "--json").stdout.splitlines()]
    refused = [line for line in lines if line["outcome"] == "refused" and line["detail"] == "other-user"]
    assert {line["uid"] for line in refused if line["door"] == "api"} == {other.uid}
    for path in (daemon.home.data / "audit.log", daemon.home.config, daemon.home.data):
        reading = subprocess.run(
            [*without_rights(other.uid), "cat", str(path)], capture_output=True, cwd="/", check=False
        )
        assert reading.returncode != 0
        assert b"denied" in reading.stderr


ACCESS = {
    # serve.access: the owner without and with a token, the other user with that token; then the same on the Unix socket
    "same-user": ((200, 200, 403), (200, 200, "PermissionError")),
    "token": ((401, 200, 200), (401, 200, "PermissionError")),
}


@pytest.mark.parametrize("access", ACCESS)
def test_the_same_user_without_a_token(users: tuple[User, User], place: Path, hub: HubServer, access: str) -> None:
    """Is answered in `same-user` and refused in `token`, at both doors; the secret values come with the answer only."""
    owner, other = users
    with daemon_of(owner, place / access, hub, access) as daemon:
        made = daemon.home.hublet("token", "--name", "box").stdout.decode().strip()
        bearer = {"Authorization": f"Bearer {made}"}
        asked = ("GET", "/ide/list-assistants")
        for expected, door in zip(ACCESS[access], ({"port": daemon.port}, {"socket": socket_of(daemon)}), strict=True):
            found = [
                owner.visit(asked, **door)[0],  # type: ignore[arg-type]
                owner.visit(asked, headers=bearer, **door)[0],  # type: ignore[arg-type]
                other.visit(asked, headers=bearer, **door)[0],  # type: ignore[arg-type]
            ]
            assert tuple(status for status, _ in found) == expected
            for status, body in found:
                assert (USER_SECRETS["LLM_KEY"] in body) is (status == 200)
