"""hublet installed for a throwaway user with a real `systemd --user`, and requests made as that user."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tests.user_systemd import UserManager

ROOT = Path(__file__).parents[2]
# Four clients. Each opens one connection after the other, as fast as it is answered, until standard input ends.
_LOAD = """
import http.client, json, sys, threading, time
port = int(sys.argv[1])
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
counts, failures, slowest = {}, [], [0.0]


def ask():
    while not ended.is_set():
        began = time.monotonic()
        connection = http.client.HTTPConnection("localhost", port, timeout=30)
        try:
            connection.request("GET", "/ide/list-assistants")
            response = connection.getresponse()
            response.read()
            counts[response.status] = counts.get(response.status, 0) + 1
        except Exception as error:
            failures.append(repr(error))
        finally:
            connection.close()
        slowest[0] = max(slowest[0], time.monotonic() - began)
        time.sleep(0.002)


threads = [threading.Thread(target=ask) for _ in range(4)]
print("begun", flush=True)
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps({"counts": counts, "failures": failures, "slowest": slowest[0]}))
"""


def interpreter() -> str:
    """A Python that another user may run: ours, or Debian's when ours lies in root's home."""
    own = Path(sys.base_prefix)
    open_to_all = all(folder.stat().st_mode & 0o005 == 0o005 for folder in (own, *own.parents))
    return str(own / "bin" / "python3") if open_to_all else "/usr/bin/python3"


def why_not() -> str:
    """Why hublet can't be installed for another user; empty when it can."""
    check = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    done = subprocess.run([interpreter(), "-c", check], capture_output=True, check=False)
    return "" if done.returncode == 0 else f"{interpreter()} is too old or has no venv (Debian: python3-venv)"


def free_port() -> int:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Load:
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def assert_all_answered(self, least: int = 20) -> None:
        assert self.failures == []
        assert set(self.counts) == {"200"}, self.counts
        assert self.counts["200"] >= least


@dataclass
class Installed:
    """`program` is the installed script in a virtual environment that the user can read."""

    manager: UserManager
    program: Path
    port: int
    hub_url: str

    def configure(self, *lines: str, port: int | None = None) -> Path:
        """Write the config beside its place and rename it, so that it is never seen half."""
        text = f"hub:\n  url: {self.hub_url}\nserve:\n  port: {port or self.port}\n" + "".join(f"{x}\n" for x in lines)
        new = self.manager.write(".config/hublet/config.yaml.new", text)
        return new.rename(new.with_suffix(""))

    def hublet(self, *words: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        path = f"{self.program.parent}:{os.environ['PATH']}"
        return self.manager.run(str(self.program), *words, input=input, env={"PATH": path})

    def service(self, *words: str) -> str:
        done = self.hublet("service", *words)
        assert done.returncode == 0, (words, done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode()

    def asking(self, path: str) -> subprocess.Popen[bytes]:
        """Begin one request as the user. It prints the status."""
        script = (
            "import http.client, sys\n"
            "connection = http.client.HTTPConnection('localhost', int(sys.argv[1]), timeout=30)\n"
            "connection.request('GET', sys.argv[2]); print(connection.getresponse().status)"
        )
        words = [str(self.program.with_name("python")), "-c", script, str(self.port), path]
        return subprocess.Popen(self.manager.words(*words), stdout=subprocess.PIPE)

    def ask(self, path: str) -> int:
        said, _ = self.asking(path).communicate(timeout=60)
        return int(said)

    def show(self, name: str, unit: str = "hublet.service") -> str:
        return self.manager.systemctl("show", unit, "--property", name, "--value").strip()

    def inside(self, path: str | Path) -> Path:
        """A path as the user's manager sees it, which has another /run."""
        return Path(f"/proc/{self.manager.holder}/root{path}")

    @property
    def log(self) -> str:
        return (self.manager.home / "log").read_text()

    def wait(self, name: str, value: str, *, unit: str = "hublet.service", within: float = 20) -> None:
        deadline = time.monotonic() + within
        while (found := self.show(name, unit)) != value:
            assert time.monotonic() < deadline, f"{name} is {found}: {self.log}"
            time.sleep(0.05)

    @contextmanager
    def load(self) -> Iterator[Load]:
        """A constant load as the user. Its result is complete at the end of the block."""
        result = Load()
        process = subprocess.Popen(
            self.manager.words(str(self.program.with_name("python")), "-c", _LOAD, str(self.port)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            yield result
            said, _ = process.communicate(b"", timeout=60)
            result.__dict__.update(json.loads(said))
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()


def install_program(manager: UserManager) -> Path:
    """Make a virtual environment in the user's home that the user can read. Root builds it."""
    environment = manager.home / "hublet"
    python = environment / "bin" / "python"
    subprocess.run([interpreter(), "-m", "venv", "--without-pip", str(environment)], check=True, capture_output=True)
    said = subprocess.check_output([str(python), "-c", "import sysconfig as s; print(s.get_path('purelib'))"])
    site = Path(said.decode().strip())
    if site.parts[-2] == Path(sysconfig.get_path("purelib")).parts[-2]:
        _copy(site)  # the same version of Python: what is installed here runs there, and no network is needed
        script = environment / "bin" / "hublet"
        script.write_text(f"#!{python}\nfrom hublet.cli.main import main\nmain()\n")
        script.chmod(0o755)
    else:
        words = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", str(ROOT)]
        done = subprocess.run(words, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
    return environment / "bin" / "hublet"


def _copy(site: Path) -> None:
    """Copy hublet and all that it requires from this environment."""
    shutil.copytree(ROOT / "src" / "hublet", site / "hublet")
    todo, seen = ["hublet"], set()
    while todo:
        name = canonical(todo.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # for other systems or older versions of Python
        todo += [re.match(r"[\w.-]+", line)[0] for line in found.requires or [] if "extra ==" not in line]  # type: ignore[index]
        for file in found.files or [] if name != "hublet" else []:
            source = Path(found.locate_file(file))  # type: ignore[arg-type]
            if ".." not in file.parts and source.is_file():
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, site / file)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
