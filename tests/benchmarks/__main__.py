"""The command that makes every figure and ends in one table: `python -m tests.benchmarks --help`."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import time
import traceback
from pathlib import Path

from tests.benchmarks import machine
from tests.benchmarks.table import Report

PARTS = ("hits", "idle", "start", "growth", "upstream", "change")
README = machine.ROOT / "README.md"
MARKS = ("<!-- made by: python -m tests.benchmarks --readme -->\n", "<!-- to here -->\n")


def into_readme(table: str) -> None:
    """Replace what is between the two marks."""
    before, _, rest = README.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    README.write_text(f"{before}{MARKS[0]}{table}{MARKS[1]}{after}")


def main() -> None:
    words = sys.argv[1:]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure hublet, and its peers.")
    parser.add_argument("--short", action="store_true", help="about two minutes for all: to see that it works")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, help="how often each is measured, interleaved (7; with --short 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--readme", action="store_true", help="put the grids, and what has an aim, into the README")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw each figure to its aim (needs matplotlib)")
    parser.add_argument("--profile", action="store_true", help="end with the functions of the hot path (needs py-spy)")
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that all that was started is ended
    report, head, broken = Report(), machine.head(words), list[str]()
    rounds = asked.rounds or (3 if asked.short else 7)
    for name in (*asked.only, *(["profiling"] if asked.profile else [])):
        began = time.monotonic()
        try:
            importlib.import_module(f"tests.benchmarks.{name}").measure(report, rounds=rounds, short=asked.short)
        except Exception:  # noqa: BLE001  the other parts took minutes, and are not lost for it
            traceback.print_exc()
            broken.append(name)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    if asked.plot is not None:
        from tests.benchmarks.plot import draw

        draw(report, asked.plot, head)
    print(report.text(head))
    if asked.readme:
        into_readme(report.markdown(head))
    if asked.json is not None:
        asked.json.write_text(json.dumps(machine.facts(words) | report.plain(), indent=1) + "\n")
    if broken:
        sys.exit(f"not measured, see above: {', '.join(broken)}")


if __name__ == "__main__":
    main()
