"""The README's two commands are the ones that are run, and it names every command there is, and no other."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click

from hublet.cli.main import cli

ROOT = Path(__file__).parents[1]

DEMO = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/hublet demo"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -q '.[test]' && .venv/bin/pytest -n 2"


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
    assert 'bash -c "$tests" 2>&1 | tee "$scratch/pytest.log" || again' in lines
    assert '(cd "$scratch/clone" && bash -c "$demo --once")' in lines
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def spoken() -> list[list[str]]:
    """What the README says behind `hublet`, in its code spans and blocks: the words of each command."""
    text = (ROOT / "README.md").read_text().replace("\\|", "|")
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = [*spans, *commands()]
    return [line.split() for whole in lines for line in re.findall(r"(?:^|/)hublet ([a-z-][^`&;]*)", whole)]


def options(command: click.Command) -> set[str]:
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}


def test_every_command_is_in_the_readme_and_every_one_there_is_real() -> None:
    """With the options that are named beside it."""
    context = click.Context(cli)
    told = spoken()
    assert {words[0] for words in told} >= set(cli.list_commands(context)), "one has no line in the README"
    for words in told:
        known: click.Command | None = cli
        named = options(cli)
        for word in words:
            if isinstance(known, click.Group) and re.fullmatch(r"[a-z]+", word):
                known = known.get_command(context, word)
                assert known is not None, f"hublet {' '.join(words)}"
                named |= options(known)
            elif (option := re.match(r"\[?(--[a-z-]+)", word)) is not None:
                assert option[1] in named, f"hublet {' '.join(words)}"
