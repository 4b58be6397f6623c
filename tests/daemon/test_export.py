"""`hublet export` and `export.directory` with the real command and the real daemon."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from hublet.demo.data import ORGANIZATION_SECRETS, USER_SECRETS
from hublet.demo.server import HubServer
from tests.in_process import in_process
from tests.running import Home, eventually

pytestmark = pytest.mark.slow

OWL = "dana/night-owl"
LONG = [value for value in USER_SECRETS.values() if len(value) > 8]


def exported(home: Home, *words: str, code: int = 0) -> Any:
    done = home.hublet("export", "out", "--json", *words)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr.decode()


@pytest.fixture
def synced(logged_in: Home) -> Home:
    assert logged_in.hublet("sync").returncode == 0
    return logged_in


def everything(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def test_assistants_are_written_whole_without_values_and_the_same_every_time(synced: Home) -> None:
    first = exported(synced)
    assert "agents/dana.night-owl.yaml" in first["written"]
    again = exported(synced)
    assert again["written"] == again["removed"] == []
    assert sorted(again["unchanged"]) == sorted(first["written"])
    text = everything(synced.path / "out")
    assert not any(value in text for value in LONG)
    config = yaml.safe_load((synced.path / "out/agents/dana.night-owl.yaml").read_text())
    assert config["models"][0]["apiKey"] == "${{ secrets.ANTHROPIC_API_KEY }}"
    assert config["schema"] == "v1"


def test_values_go_into_an_env_file_that_is_private_and_told_in_the_audit_log(synced: Home) -> None:
    exported(synced, "--env", "out/.env", "--default", OWL)
    env = synced.path / "out" / ".env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert f"ANTHROPIC_API_KEY={USER_SECRETS['ANTHROPIC_API_KEY']}" in env.read_text()
    assert not any(value in env.read_text() for each in ORGANIZATION_SECRETS.values() for value in each.values())
    assert "export values" in synced.hublet("audit").stdout.decode()
    exported(synced)
    assert env.exists(), "one that is not asked for is not taken away"


def test_values_stand_in_the_files_when_they_are_wanted_there(synced: Home) -> None:
    exported(synced, "--secrets", "inline", "--layout", "single", "--default", OWL)
    config = yaml.safe_load((synced.path / "out/config.yaml").read_text())
    assert config["models"][0]["apiKey"] == USER_SECRETS["ANTHROPIC_API_KEY"]
    assert not (synced.path / "out/agents").exists()
    (synced.path / "out/config.yaml").write_text("mine: 1\n")
    words = ("--secrets", "inline", "--layout", "single", "--default", OWL)
    said = synced.hublet("export", "out", *words).stdout.decode()
    assert "was edited" in said
    assert not any(value in said for value in LONG), "the difference would show them"
    assert "not both" in exported(synced, "--secrets", "inline", "--env", "x", code=2)


def test_a_locked_cache_gives_no_value_and_takes_none_away(synced: Home) -> None:
    """Files without values can be had, each saying which ones are missing; those of values stay as they were."""
    exported(synced, "--env", "out/.env")
    before = (synced.path / "out/.env").read_text()
    synced.hublet("lock")
    for words in (("--env", "out/.env"), ("--secrets", "inline")):
        assert "nothing is written while values are not served" in exported(synced, *words, code=1)
    assert (synced.path / "out/.env").read_text() == before
    report = {one["slug"]: one for one in exported(synced, "--layout", "single", "--default", OWL)["report"]}
    assert report["dana/rust-smith"]["standing"] == "needs a key"
    text = (synced.path / "out/config.yaml").read_text()
    assert "needs ANTHROPIC_API_KEY (yours, but its value is not served now" in text
    assert not any(value in text for value in LONG)


def test_what_each_assistant_lacks_without_the_hub_is_said(synced: Home) -> None:
    report = {one["slug"]: one for one in exported(synced)["report"] if not one["place"]}
    assert report[OWL]["standing"] == "with a key"
    assert report["dana/trial-run"]["standing"] == "needs a key"
    assert report["dana/broken"]["standing"] == "can't work"
    said = synced.hublet("export", "out").stdout.decode()
    assert "GPT_ADD_ON_KEY (only the Hub has it: get one of your own from openai)" in said


def test_an_edited_file_is_left_and_the_difference_is_shown(synced: Home, hub_server: HubServer) -> None:
    exported(synced)
    file = synced.path / "out/agents/dana.night-owl.yaml"
    file.write_text(file.read_text() + "# mine\n")
    hub_server.hub.edit_assistant(OWL, "Claude Opus 4", "Claude Opus 5")
    synced.hublet("sync")
    said = synced.hublet("export", "out").stdout.decode()
    assert "was edited: left as it is" in said
    assert "+  - name: Claude Opus 5" in said
    assert file.read_text().endswith("# mine\n")
    assert "Claude Opus 5" in file.with_name("dana.night-owl.yaml.hublet").read_text()


def test_a_folder_that_can_not_be_written_stays_as_it_was(synced: Home, hub_server: HubServer) -> None:
    exported(synced)
    out = synced.path / "out"
    before = {path: path.read_text() for path in out.rglob("*.yaml")}
    hub_server.hub.edit_assistant(OWL, "Claude Opus 4", "Claude Opus 5")
    synced.hublet("sync")
    for folder in (out / "agents", out):
        folder.chmod(0o500)
        assert "can't be written: Permission denied" in exported(synced, code=1)
    for folder in (out, out / "agents"):
        folder.chmod(0o700)
    assert {path: path.read_text() for path in out.rglob("*.yaml")} == before
    assert "agents/dana.night-owl.yaml" in exported(synced)["written"]


def test_an_unknown_default_is_refused(synced: Home) -> None:
    assert "can't be the default" in exported(synced, "--default", "no/body", code=1)
    assert "not of the form" in exported(synced, "--default", "body", code=1)
    assert not (synced.path / "out").exists()


def test_a_withdrawn_assistant_of_ones_own_can_be_taken_along(synced: Home, hub_server: HubServer) -> None:
    hub_server.hub.remove_assistant(OWL)
    synced.hublet("sync")
    synced.hublet("sync")
    assert "agents/dana.night-owl.yaml" not in exported(synced)["written"]
    assert "agents/dana.night-owl.yaml" in exported(synced, "--withdrawn")["written"]


def test_a_running_daemon_keeps_a_folder_like_it(home: Home, hub_server: HubServer) -> None:
    """From the config, after each change, pins included; an edited file is named in status."""
    out = home.path / "continue"
    settings = {"export": {"directory": str(out), "default": OWL, "env": str(out / ".env")}}
    home.configure(hub_server.url, settings=settings)
    home.login("con_demo_key_not_secret")
    config = out / "config.yaml"
    with home.daemon():
        eventually(config.exists)
        assert "Claude Opus 4" in config.read_text()
        hub_server.hub.edit_assistant(OWL, "Claude Opus 4", "Claude Opus 5")
        home.hublet("sync")
        eventually(lambda: "Claude Opus 5" in config.read_text())
        home.hublet("pin", f"{OWL}@previous")
        eventually(lambda: "Claude Opus 4" in config.read_text())
        config.write_text("mine: 1\n")
        home.hublet("unpin", OWL)
        eventually(lambda: b"config.yaml was edited" in home.hublet("status").stdout)
        assert config.read_text() == "mine: 1\n"
        home.hublet("lock")
        hub_server.hub.edit_assistant("dana/quiet", "LM Studio", "Studio")
        home.hublet("sync")
        eventually(lambda: b"nothing is written while values are not served" in home.hublet("status").stdout)
        assert "LM Studio" in (out / "agents/dana.quiet.yaml").read_text()
    assert USER_SECRETS["ANTHROPIC_API_KEY"] in (out / ".env").read_text()


def test_an_administrator_can_forbid_it(tmp_path: Path) -> None:
    import asyncio
    import os

    from hublet.core.errors import HubletError
    from hublet.serve.exporting import Wish, export

    async def refused() -> None:
        (tmp_path / "home").mkdir()
        async with in_process(tmp_path / "home") as it:
            await it.log_in()
            it.service.managed_file, it.service.managed_owner = tmp_path / "managed.yaml", os.getuid()
            tmp_path.chmod(0o755)
            it.service.managed_file.write_text("export: false\n")
            it.service.managed_file.chmod(0o644)
            with pytest.raises(HubletError, match="not allowed on this machine"):
                export(it.service, Wish())
            it.service.managed_file.write_text("export: true\n")
            assert export(it.service, Wish())["files"]

    asyncio.run(refused())


def test_a_cache_that_knows_nothing_takes_no_file_away(tmp_path: Path) -> None:
    """A new one, or one that was forgotten: what was exported before is all that there is."""
    import asyncio

    from hublet.export.files import write_files

    out = tmp_path / "out"
    write_files(out, {"config.yaml": "name: N\n"})
    (tmp_path / "home").mkdir()

    async def written() -> None:
        async with in_process(tmp_path / "home", settings={"export": {"directory": str(out)}}) as it:
            assert it.service.exporter is not None
            it.service.exporter.soon()
            await it.service.exporter.close()
            assert (it.service.exporter.problem, it.service.exporter.at is None) == ("", False)
            assert (out / "config.yaml").exists()
            await it.log_in()
            it.service.exporter.soon()
            await it.service.exporter.close()
            assert "name: N\n" not in (out / "config.yaml").read_text()

    asyncio.run(written())
