"""Where the time of a hit goes: py-spy looks at a daemon under load, and its functions are told by their own share."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from hublet.demo.data import DEMO_KEY
from tests.benchmarks import hublets
from tests.benchmarks.hits import CONNECTIONS, KINDS, target
from tests.benchmarks.hub import World, hub_of
from tests.benchmarks.peers import compiled
from tests.benchmarks.processes import CLIENT_CORE, on_core
from tests.benchmarks.table import Report
from tests.running import RunningDaemon

_SECONDS, _RATE, _SHOWN = 5, 500, 15


def measure(report: Report, *, rounds: int, short: bool) -> None:
    """The notes get the functions of the hot path, the dearest first."""
    spy = shutil.which("py-spy") or shutil.which(str(Path(sys.executable).with_name("py-spy")))
    if spy is None:
        report.lacks("py-spy", "the profile")
        return
    with hublets.scratch() as place, hub_of(World(sizes=tuple(KINDS.values())), before=on_core(CLIENT_CORE)) as hub:
        load = compiled(place, "load")
        if load is None:
            report.lacks("cc", "the profile")
            return
        home = hublets.home_of(place / "home", hub.url)
        with hublets.daemon_of(home) as daemon:
            hublets.synced(daemon)
            kind = "with uvloop" if hublets.uses_uvloop(daemon) else "on plain asyncio"
            own = _profile(spy, load, daemon, place / "stacks")
    total = sum(own.values())
    report.notes.append(f"profile of 5 KB hits {kind}, {total} samples: share of each function by itself")
    report.notes += [f"  {count / total:6.1%}  {name}" for name, count in own.most_common(_SHOWN)]


def _profile(spy: str, load: Path, daemon: RunningDaemon, file: Path) -> Counter[str]:
    head = f"GET {target('5 KB')} HTTP/1.1\r\nHost: localhost:{daemon.port}\r\nAuthorization: Bearer {DEMO_KEY}\r\n\r\n"
    words = [*on_core(CLIENT_CORE), str(load), str(daemon.port), str(CONNECTIONS), str(_SECONDS + 2)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as loading:
        assert loading.stdin is not None
        loading.stdin.write(head)
        loading.stdin.close()
        how = ["--format", "raw", "--rate", str(_RATE), "--duration", str(_SECONDS), "--nonblocking"]
        spying = [spy, "record", *how, "--output", str(file), "--pid", str(daemon.process.pid)]
        subprocess.run(spying, capture_output=True, check=True, timeout=_SECONDS + 30)
    own: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if not frames[0].startswith("Thread."):  # the loop is the main thread's; the others sleep
            own[frames[-1].rpartition(":")[0] + ")"] += int(count)
    return own
