"""A real `systemd --user` for tests, also on a machine whose PID 1 is not systemd: a throwaway user with its manager.

    with user_manager() as manager:
        manager.write(".config/systemd/user/x.service", "[Service]\n...")
        manager.systemctl("daemon-reload")
        manager.systemctl("start", "x.service")

There is no journald: have a unit log to a file (StandardOutput=append:%h/log). Processes of the manager may read
everything (CAP_DAC_READ_SEARCH), since the interpreter may lie in root's home, and nothing more.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.running import as_user, missing

_SYSTEMD = Path("/lib/systemd/systemd")
_CGROUPS = [Path("/sys/fs/cgroup", name) for name in ("", "unified", "systemd")]
# /run must be a mount point, as it is wherever systemd is PID 1; an empty one of our own leaves no traces.
_HOLD = """
mount -t tmpfs tmpfs /run
mkdir -p "$2" /run/systemd/system /run/systemd/unit-root /run/systemd/incoming /run/systemd/propagate
mount -t tmpfs -o "uid=$1,gid=$1,mode=700,size=64m" tmpfs "$2"
echo ready
exec cat
"""
_JOIN = 'for group; do [ "$group" = -- ] && { shift; break; }; echo $$ > "$group/cgroup.procs"; shift; done; exec "$@"'


def why_not() -> str:
    """Why there can't be one here; empty when there can."""
    if os.geteuid() != 0:
        return "starting a user's systemd needs root"
    if not _SYSTEMD.exists():
        return "not installed: systemd"
    if not any(os.access(root / "cgroup.procs", os.W_OK) for root in _CGROUPS):
        return "there is no writable cgroup hierarchy"
    return missing("systemctl", "setpriv", "unshare", "nsenter", "useradd")


@dataclass
class UserManager:
    """`home` is the user's; `run` starts programs as that user, in the manager's view of the file system."""

    user: str
    uid: int
    home: Path
    holder: int

    @property
    def runtime(self) -> Path:
        """XDG_RUNTIME_DIR, as the user sees it."""
        return Path(f"/run/user/{self.uid}")

    def words(self, *command: str, env: Mapping[str, str] | None = None) -> list[str]:
        """A command line that runs `command` as the user."""
        variables = {
            "HOME": str(self.home),
            "USER": self.user,
            "LOGNAME": self.user,
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "XDG_RUNTIME_DIR": str(self.runtime),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.runtime}/bus",
            **(env or {}),
        }
        inside = ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", f"--wd={self.home}", "--"]
        return [*inside, *as_user(self.uid), "env", "-i", *(f"{k}={v}" for k, v in variables.items()), *command]

    def run(
        self, *command: str, env: Mapping[str, str] | None = None, input: bytes = b"", timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.words(*command, env=env), input=input, capture_output=True, timeout=timeout, check=False
        )

    def systemctl(self, *words: str) -> str:
        """`systemctl --user`; an error is an AssertionError with what it said."""
        done = self.run("systemctl", "--user", *words)
        assert done.returncode == 0, (words, done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode()

    def write(self, path: str, text: str | bytes, mode: int = 0o600) -> Path:
        """A file below the home, the user's own, with folders that are the user's too."""
        file = self.home / path
        for folder in reversed(file.parents):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                os.chown(folder, self.uid, self.uid)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)
        os.chown(file, self.uid, self.uid)
        return file


@contextmanager
def user_manager() -> Iterator[UserManager]:
    """A user of its own and a running manager; everything of it is gone afterwards."""
    user = f"hublet-{os.getpid()}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", user], check=True, capture_output=True)
    entry = pwd.getpwnam(user)
    runtime = f"/run/user/{entry.pw_uid}"
    groups: list[Path] = []
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", _HOLD, "sh", str(entry.pw_uid), runtime],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    manager = UserManager(user, entry.pw_uid, Path(entry.pw_dir), holder.pid)
    process = None
    try:
        assert holder.stdout.readline() == b"ready\n"
        groups = _groups(user, entry.pw_uid)
        log = Path(entry.pw_dir, "manager.log")
        words = manager.words(str(_SYSTEMD), "--user", "--log-target=console", "--log-level=notice")
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["sh", "-c", _JOIN, "sh", *map(str, groups), "--", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        socket = Path(f"/proc/{holder.pid}/root{runtime}/systemd/private")
        deadline = time.monotonic() + 15
        while not socket.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield manager
    finally:
        if process is not None:
            manager.run("systemctl", "--user", "exit")
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _end_groups(groups)
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()
        subprocess.run(["userdel", user], check=False, capture_output=True)
        shutil.rmtree(entry.pw_dir, ignore_errors=True)


def _groups(user: str, uid: int) -> list[Path]:
    """The cgroups that the manager may divide among its units."""
    made = []
    for root in _CGROUPS:
        if (root / "cgroup.procs").exists():
            group = root / user
            group.mkdir()
            os.chown(group, uid, uid)
            for file in group.iterdir():
                os.chown(file, uid, uid)
            made.append(group)
    return made


def _end_groups(groups: list[Path]) -> None:
    for group in groups:
        for procs in group.rglob("cgroup.procs"):
            for pid in procs.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for folder in [*sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True), group]:
            for _ in range(100):
                try:
                    folder.rmdir()
                    break
                except OSError:
                    time.sleep(0.02)
