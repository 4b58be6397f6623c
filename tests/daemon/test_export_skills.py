"""`hublet export --layout skills` and `export.layout: skills` with the real command and the real daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from skills_ref import validate

from hublet.core.instructions import instructions
from hublet.demo.data import ORGANIZATION_SECRETS, USER_SECRETS
from hublet.demo.server import HubServer
from tests.running import Home, eventually

VALUES = [*USER_SECRETS.values(), *(value for each in ORGANIZATION_SECRETS.values() for value in each.values())]


def texts(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.md"))}


def test_every_assistant_is_a_valid_skill_with_its_words_and_without_values(logged_in: Home) -> None:
    """The same bytes again, locked or not; what was edited stays."""
    home, out = logged_in, logged_in.path / "skills"
    assert home.hublet("sync").returncode == 0
    done = home.hublet("export", "skills", "--layout", "skills")
    assert done.returncode == 0, done.stderr
    assert b"dana/broken: not written: the Hub could not load it" in done.stderr
    first = texts(out)
    status = json.loads(home.hublet("status", "--json").stdout)
    slugs = {one["slug"] for scope in status["scopes"] for one in scope["assistants"] if not scope["proxied"]}
    folders = [path for path in out.iterdir() if path.is_dir()]
    assert all(validate(folder) == [] for folder in folders)
    assert {slug.replace("/", "-") for slug in slugs - {"dana/broken"}} | {"hublet"} <= {path.name for path in folders}
    for slug in ("dana/night-owl", "dana/polyglot", "dana/data-desk", "dana/big-rulebook"):
        held = instructions(yaml.safe_load(home.hublet("show", slug).stdout))
        mine = b"".join(text for path, text in first.items() if path.startswith(slug.replace("/", "-")))
        assert all(each.text.encode() in mine for each in held)
    assert len([path for path in first if path.startswith("dana-big-rulebook/references/")]) == 1
    assert b"The read-only password is ${{ secrets." in first["dana-data-desk/SKILL.md"]
    assert not [value for value in VALUES if any(value.encode() in text for text in first.values())]
    assert home.hublet("lock").returncode == 0
    assert home.hublet("export", "skills", "--layout", "skills").stdout.startswith(b"0 written")
    assert texts(out) == first
    (out / "dana-quiet" / "SKILL.md").write_text("mine\n")
    assert b"was edited: left as it is" in home.hublet("export", "skills", "--layout", "skills").stdout
    assert (out / "dana-quiet" / "SKILL.md").read_text() == "mine\n"
    assert (out / "dana-quiet" / "SKILL.md.hublet").read_bytes() == first["dana-quiet/SKILL.md"]


@pytest.mark.parametrize("words", [("--env", "x"), ("--secrets", "inline"), ("--default", "dana/quiet")])
def test_skills_have_no_values_and_no_default(home: Home, words: tuple[str, ...]) -> None:
    done = home.hublet("export", "skills", "--layout", "skills", *words)
    assert done.returncode == 2
    assert b"skills have no values and no default" in done.stderr
    assert not (home.path / "skills").exists()


@pytest.mark.slow
def test_a_folder_of_skills_follows_the_hub(logged_in: Home, hub_server: HubServer) -> None:
    """A skill that has changed is written again, one that is gone goes with its folder; also while it is locked."""
    out = logged_in.path / "skills"
    logged_in.configure(hub_server.url, settings={"export": {"directory": str(out), "layout": "skills"}})
    with logged_in.daemon():
        assert logged_in.hublet("sync").returncode == 0
        skill = out / "dana-night-owl" / "SKILL.md"
        eventually(skill.exists)
        assert logged_in.hublet("lock").returncode == 0
        hub_server.hub.edit_assistant("dana/night-owl", "comes with a test", "comes with two tests")
        hub_server.hub.remove_assistant("dana/trial-run")
        for _ in range(2):
            assert logged_in.hublet("sync").returncode == 0
        eventually(lambda: "two tests" in skill.read_text())
        eventually(lambda: not (out / "dana-trial-run").exists())
        said = logged_in.hublet("doctor", "--sunset", "--json").stdout.decode()
        assert "Agent Skills, which no client of Continue reads" in said
    logged_in.configure(
        hub_server.url, settings={"export": {"directory": str(out), "layout": "skills", "env": str(out / ".env")}}
    )
    with logged_in.daemon():
        logged_in.hublet("sync")
        problem = "skills have no values and no default"
        eventually(lambda: problem in logged_in.hublet("status", "--json").stdout.decode())
