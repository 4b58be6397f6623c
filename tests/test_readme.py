"""The README's two commands are the ones that are run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]

DEMO = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/hublet demo"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -q '.[test]' && .venv/bin/pytest"


def commands() -> list[str]:
    """Every line of the README's shell blocks, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_readme_begins_with_the_two_commands() -> None:
    """The first shows the main job and needs no account; the second passes the tests."""
    assert commands()[:2] == [DEMO, TESTS]


def test_ci_runs_the_same_lines() -> None:
    """`.ci/run` holds both word for word, runs them, and is bash that can be read."""
    script = ROOT / ".ci" / "run"
    lines = script.read_text().splitlines()
    assert f'demo="{DEMO}"' in lines
    assert f'tests="{TESTS}"' in lines
    assert 'bash -c "$tests" 2>&1 | tee "$scratch/pytest.log"' in lines
    assert '(cd "$scratch/clone" && bash -c "$demo --once")' in lines
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
