"""The command: `python -m tests.benchmarks [--short] [--only NAME ...] [--rounds N] [--json FILE] [--plot FILE.png]`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

from tests.benchmarks import machine
from tests.benchmarks.table import Report

PARTS = ("hits", "idle", "start", "growth", "upstream", "change")


def main() -> None:
    words = sys.argv[1:]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.partition(":")[0])
    parser.add_argument("--short", action="store_true", help="about three minutes for all: to see that it works")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, help="how often each is measured, interleaved (7; with --short 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw the figures that have an aim (needs matplotlib)"
    )
    asked = parser.parse_args(words)
    report, head = Report(), machine.head(words)
    rounds = asked.rounds or (3 if asked.short else 7)
    for name in asked.only:
        began = time.monotonic()
        importlib.import_module(f"tests.benchmarks.{name}").measure(report, rounds=rounds, short=asked.short)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(report.text(head))
    if asked.json is not None:
        asked.json.write_text(json.dumps(machine.facts(words) | report.plain(), indent=1) + "\n")


if __name__ == "__main__":
    main()
