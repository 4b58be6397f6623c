"""Builds the library that stands between a program and the C library (shim.c), and runs programs under it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(folder: Path) -> Path:
    """The library, made in a folder that every user may read."""
    library = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    words = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl", "-lpthread"]
    subprocess.run(words, check=True)
    library.chmod(0o755)
    return library


def figures(library: Path, program: str, folder: Path, *words: str) -> list[int]:
    """Run one of the programs beside this file in a new folder, and give the numbers of its last line."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name(program), words[0], folder, *words[1:]],
        env={**os.environ, "PYTHONPATH": str(ROOT), "LD_PRELOAD": str(library), "FILES_UNDER": str(folder / "work")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return [int(number) for number in re.findall(r"\d+", done.stdout.splitlines()[-1])]


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """What has been counted, a line a scenario, and the sum of each column."""
    lines = [title, f"{'':14}" + "".join(f"{head:>12}" for head in heads)]
    lines += [f"{row[0]!s:14}" + "".join(f"{number!s:>12}" for number in row[1:]) for row in rows]
    sums = [sum(int(str(row[at + 1])) for row in rows) for at in range(len(heads))]
    return [*lines, f"{'in all':14}" + "".join(f"{number:12}" for number in sums)]
