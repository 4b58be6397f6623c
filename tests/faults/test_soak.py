"""A week of passes in a few minutes: what the daemon holds at its end is what it held on the first day.

HUBLET_TESTS_SOAK_PASSES=2688 pytest -m slow -s tests/faults/test_soak.py      four weeks
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.daemon.asking import SECRETS
from tests.daemon.visitor import ask
from tests.running import Home, RunningDaemon

from hublet.demo.data import ACME, DEMO_KEY, INITECH
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer

PASSES = int(os.environ.get("HUBLET_TESTS_SOAK_PASSES", "672"))
"""One every 15 minutes of a week."""
QUARTER, NIGHT = 900, 8 * 3600
ROOT = Path(__file__).parents[2]

WINDOW = (
    ("GET", "/ide/policy", None),
    ("GET", "/ide/list-organizations", None),
    ("GET", "/ide/list-assistants", None),
    ("GET", f"/ide/list-assistants?organizationId={ACME}", None),
    ("GET", f"/ide/list-assistants?organizationId={INITECH}", None),
    ("POST", "/ide/sync-secrets", SECRETS),
)
CN = (
    ("GET", "/ide/list-assistant-full-slugs", None),
    ("GET", "/ide/get-assistant/dana/rust-smith", None),
    ("GET", "/ide/free-trial-status", None),
)
SCRIPT = (("GET", "/ide/get-assistant/acme/team-chat?organizationId=org_acme", None), ("GET", "/ide/credits", None))


class Week:
    """The daemon of `week.py`, told what to do."""

    def __init__(self, process: subprocess.Popen[str], home: Home, log: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.words, self.said = process, process.stdin, process.stdout
        self.daemon = RunningDaemon(home, process, int(self.said.readline()), log)  # type: ignore[arg-type]

    def tell(self, line: str) -> str:
        self.words.write(line + "\n")
        self.words.flush()
        return self.said.readline()

    def sample(self) -> dict[str, int]:
        found: dict[str, int] = json.loads(self.tell("sample"))
        return found


@contextmanager
def week(home: Home) -> Iterator[Week]:
    log = home.path / "week.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            home.command(sys.executable, "-m", "tests.faults.week", str(home.config)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True, cwd=ROOT,
            env=home.env(PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1"),
        )  # fmt: skip
    with process:
        try:
            yield Week(process, home, log)
            process.stdin.close()  # type: ignore[union-attr]
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()[-3000:]


def things_happen(number: int, server: HubServer, home: Home) -> None:
    """What a week brings besides: outages, edits, rotations, a changed config, a new key."""
    hub = server.hub
    if number % 24 == 5:
        server.stop()
    elif number % 24 == 7:
        server.restart()
    if number % 10 == 3:
        hub.set_secret("LLM_KEY", f"canary-{number}")
        hub.set_organization_secret(ACME, "ACME_OPENAI_KEY", f"canary-acme-{number}")
    if number % 16 == 9:
        hub.put_assistant("dana/of-the-week", f"name: Of the week {number}\nversion: 1.0.{number}\nschema: v1\n")
    if number % 48 == 40:
        hub.remove_assistant("dana/of-the-week")
    if number % 50 == 20:
        home.configure(server.url, settings={"sync": {"every": "20m" if number % 100 == 20 else "15m"}})
    if number % 96 == 60:
        done = home.hublet("keys", "rotate")
        assert done.returncode == 0, done.stderr.decode()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_week_leaves_the_daemon_as_it_was(tmp_path: Path) -> None:
    """672 passes, an outage every six hours, a night's sleep a day, three clients all the time."""
    with HubServer(Hub()) as server:
        home = Home.make(tmp_path / "home", server.url)
        home.login(DEMO_KEY)
        statuses: dict[int, int] = {}
        samples: list[dict[str, int]] = []
        with week(home) as it:
            for number in range(PASSES):
                things_happen(number, server, home)
                assert it.tell(f"tick {NIGHT if number % 96 == 95 else QUARTER}") == "ok\n"
                for questions in (WINDOW, CN, SCRIPT):
                    for question in questions:
                        status = ask(it.daemon, *question).status
                        statuses[status] = statuses.get(status, 0) + 1
                if number % 96 == 95 or number == PASSES - 1:
                    samples.append(it.sample())
                    print(f"\nafter {number + 1} passes: {samples[-1]}")
            log_size = it.daemon.log.stat().st_size
    print(f"\n{sum(statuses.values())} answers {statuses}, a log of {log_size // 1000} KB")
    first, last = samples[0], samples[-1]
    assert set(statuses) == {200}
    assert last["descriptors"] <= max(sample["descriptors"] for sample in samples[:2])
    assert last["threads"] <= first["threads"] + 2, "a pool of asyncio's has at most a few threads more"
    assert last["tasks"] == 1, "the one that takes the sample"
    assert last["kB"] < first["kB"] + 15_000
    assert last["wal"] <= 4_000_000
    assert last["store"] < 3 * first["store"]
    assert last["records"] <= first["records"] + 5
    assert log_size < 1000 * PASSES
