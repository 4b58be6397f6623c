"""Where the figures are from: the machine, the commit, the command."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def head(words: list[str]) -> list[str]:
    """Lines for the table's head; `words` are the command's own."""
    python = f"Python {platform.python_version()}"
    return [
        f"machine: {len(os.sched_getaffinity(0))} cores, {_model()}, {_memory()}, load {os.getloadavg()[0]:.1f}",
        f"system: {_system()}, Linux {platform.release()}, {python}",
        f"commit: {_commit()}",
        f"command: {' '.join(['python -m tests.benchmarks', *words])}",
    ]


def facts(words: list[str]) -> dict[str, str]:
    """The same by name."""
    return dict(line.split(": ", 1) for line in head(words))


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return (git("log", "-1", "--format=%h of %cs") or "none") + changed
