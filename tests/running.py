"""A real hublet in a throwaway home, run by a throwaway user when the tests run as root (a user service never is root).

As root, processes drop to a numeric uid with nothing but the right to read (CAP_DAC_READ_SEARCH), since the interpreter
may lie in root's home; otherwise they are the tester's own processes.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

THROWAWAY_UID = 64100
OTHER_UID = 64101
AS_ROOT = os.getuid() == 0
HUBLET = [sys.executable, "-m", "hublet"]


def as_user(uid: int) -> list[str]:
    """The words before a command that is to run as `uid`; none when the tests do not run as root."""
    if not AS_ROOT:
        return []
    right = "+dac_read_search"
    ids = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return ["setpriv", *ids, f"--inh-caps={right}", f"--ambient-caps={right}"]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> object:
        return json.loads(self.body)


@dataclass
class RunningDaemon:
    home: Home
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request by the daemon's own user: through a process of that user when the tests run as root."""
        if not AS_ROOT:
            return _ask(self.port, method, path, body, headers or {})
        words = json.dumps([self.port, method, path, body.decode() if body is not None else None, dict(headers or {})])
        done = self.home.python("-c", _ASK, input=words.encode())
        assert done.returncode == 0, done.stderr.decode()
        status, sent, text = json.loads(done.stdout)
        return Answer(status, sent, bytes.fromhex(text))

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


def _ask(port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


_ASK = """
import http.client, json, sys
port, method, path, body, headers = json.load(sys.stdin)
connection = http.client.HTTPConnection("localhost", port, timeout=30)
connection.request(method, path, body.encode() if body is not None else None, headers)
response = connection.getresponse()
print(json.dumps([response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().hex()]))
"""


@dataclass
class Home:
    """A home of its own: config, data, runtime and key directories below `path`, owned by `uid`."""

    path: Path
    uid: int = THROWAWAY_UID
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(
        cls, path: Path, hub_url: str, *, port: int = 0, settings: Mapping[str, Mapping[str, object]] | None = None
    ) -> Home:
        home = cls(path)
        path.mkdir(mode=0o755, exist_ok=True)
        home.configure(hub_url, port=port, settings=settings)
        home.own()
        return home

    def own(self) -> None:
        """Give everything below the home to its user."""
        if AS_ROOT:
            for place, _, files in os.walk(self.path):
                os.chown(place, self.uid, self.uid)
                for name in files:
                    os.chown(Path(place, name), self.uid, self.uid, follow_symlinks=False)

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def runtime(self) -> Path:
        return self.path / "run"

    def configure(
        self, hub_url: str, *, port: int = 0, settings: Mapping[str, Mapping[str, object]] | None = None
    ) -> None:
        """Write the config; `settings` adds keys by section, over the ones that keep it inside this home."""
        sections: dict[str, dict[str, object]] = {
            "hub": {"url": hub_url},
            "serve": {"port": port},
            "cache": {"directory": str(self.data), "runtime_directory": str(self.runtime)},
            "keys": {"file": str(self.path / "key" / "kek")},
            "sync": {"on_battery": "normal"},  # the tester's plug again
        }
        for name, keys in (settings or {}).items():
            sections.setdefault(name, {}).update(keys)
        lines = []
        for name, keys in sections.items():
            lines.append(f"{name}:")
            lines += [
                f"  {key}: {json.dumps(value) if isinstance(value, bool) else value}" for key, value in keys.items()
            ]
        self.config.unlink(missing_ok=True)
        self.config.touch(mode=0o600)
        self.config.write_text("\n".join(lines) + "\n")
        self.own()

    def leave_to_session(self) -> Path:
        """Have its runtime directory in the session's, as where a person is logged in: the config does not say it.
        Gives the directory."""
        lines = self.config.read_text().splitlines()
        self.config.write_text("".join(f"{line}\n" for line in lines if "runtime_directory" not in line))
        session = self.path / "session"
        session.mkdir(mode=0o700)
        self.environment["XDG_RUNTIME_DIR"] = str(session)
        self.own()
        return session / "hublet"

    def env(self, **more: str) -> dict[str, str]:
        return {
            "HOME": str(self.path),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent",  # the tester's network and plug are not the test's
            "HUBLET_CONFIG": str(self.config),
            "COVERAGE_PROCESS_START": "",
            **self.environment,
            **more,
        }

    def command(self, *words: str) -> list[str]:
        """Any program, as this home's user."""
        return [*as_user(self.uid), *words]

    def python(self, *words: str, input: bytes = b"", timeout: float = 60) -> subprocess.CompletedProcess[bytes]:
        return self.start_and_wait([sys.executable, *words], input=input, timeout=timeout)

    def hublet(
        self, *words: str, input: bytes = b"", timeout: float = 60, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """A command of the program; standard input is a pipe."""
        return self.start_and_wait([*HUBLET, *words], input=input, timeout=timeout, env=env)

    def start_and_wait(
        self, words: list[str], *, input: bytes = b"", timeout: float = 60, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*words),
            input=input,
            capture_output=True,
            timeout=timeout,
            env=self.env(**(env or {})),
            cwd=self.path,
            check=False,
        )

    def login(self, key: str) -> None:
        done = self.hublet("login", input=key.encode())
        assert done.returncode == 0, done.stderr.decode()

    @contextmanager
    def daemon(
        self,
        *,
        env: Mapping[str, str] | None = None,
        words: tuple[str, ...] = ("run",),
        program: Sequence[str] = HUBLET,
    ) -> Iterator[RunningDaemon]:
        """A running daemon; told its port by its log. It is ended, and its log must hold no traceback."""
        log = self.path / f"daemon-{time.monotonic_ns()}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self.command(*program, *words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self.env(**(env or {})),
                cwd=self.path,
            )
        try:
            port = _port_of(process, log)
            yield RunningDaemon(self, process, port, log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(5)
        assert "Traceback" not in log.read_text(), log.read_text()


def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = re.search(r"listening on http://localhost:(\d+)", log.read_text())
        if found:
            return int(found[1])
        if process.poll() is not None:
            raise AssertionError(f"the daemon ended with {process.returncode}: {log.read_text()}")
        time.sleep(0.02)
    raise AssertionError("the daemon did not say its port")


def eventually(check: object, *, within: float = 15.0) -> None:
    """Wait until a callable gives something true."""
    assert callable(check)
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def missing(*programs: str) -> str:
    """Why a test that needs these programs can't run; empty when it can."""
    absent = [program for program in programs if shutil.which(program) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def without_rights(uid: int) -> list[str]:
    """The words before a command that is to run as `uid` and with nothing else, for what `as_user` allows too much."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all"]


def python_of_all() -> str:
    """An interpreter that any user may run: the one of these tests may lie in root's home. Empty when there is none."""
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        # Through a shell: setpriv itself still has the right to reach it.
        words = [*without_rights(64999), "sh", "-c", 'exec "$0" -I -c "import http.client"', python]
        if subprocess.run(words, capture_output=True, cwd="/", check=False).returncode == 0:
            return python
    return ""
