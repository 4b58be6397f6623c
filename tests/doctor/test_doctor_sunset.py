"""`hublet doctor --sunset`: what it says of assistants, of exported files and of clients, and when it ends with 1."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.doctor.looking import Place
from tests.running import HUBLET, Home

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from hublet.doctor.sunset import Installed, Line, lines, look
from hublet.serve.exporting import wish_of
from hublet.serve.sunset import sunset

HOME = Path("/home/dana")
FOLDER = HOME / ".continue"
YEARS = 3650 * 86400.0
OWL = "dana/night-owl"


def part(standing: str, why: str = "") -> dict[str, str]:
    return {"section": "models", "name": "M", "standing": standing, "why": why}


def assistant(*parts: dict[str, str], standing: str = "works", notes: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"slug": "dana/a", "place": "", "standing": standing, "parts": list(parts), "notes": list(notes)}


def facts(*assistants: dict[str, Any], **more: Any) -> dict[str, Any]:
    known = {"port": 3001, "locked": False, "max_stale": YEARS, "allowed": True, "export": None}
    return known | {"assistants": list(assistants) or [assistant(part("with a key", "KEY"))], **more}


def exported(directory: Path = FOLDER, env: Path | None = FOLDER / ".env", **more: Any) -> dict[str, Any]:
    found = {"directory": str(directory), "env": str(env) if env else None, "problem": ""}
    return found | {"missing": [], "older": [], "edited": []} | more


def said(facts: dict[str, Any], name: str, **installed: Any) -> Line:
    found = [line for line in lines(facts, Installed(FOLDER, HOME, **installed)) if line.name == name]
    assert len(found) == 1, found
    return found[0]


def test_each_model_has_a_line_and_what_is_missing_breaks() -> None:
    found = lines(
        facts(assistant(part("works"), part("needs a key", "K (ask the organization acme)"))), Installed(FOLDER, HOME)
    )
    assert [(line.standing, line.breaks) for line in found[:2]] == [("works", False), ("needs a key", True)]
    assert found[1].why == "K (ask the organization acme)"


def test_what_the_hub_could_not_load_cant_work_and_what_it_left_out_is_told_without_breaking() -> None:
    found = lines(facts(assistant(standing="can't work", notes=("no YAML",))), Installed(FOLDER, HOME))
    assert (found[0].why, found[0].breaks) == ("no YAML", True)
    found = lines(facts(assistant(part("works"), notes=("no such block",))), Installed(FOLDER, HOME))
    assert (found[1].why, found[1].breaks) == ("not with the Hub either: no such block", False)


def test_an_empty_cache_is_nothing_to_go_on_with() -> None:
    assert lines(facts() | {"assistants": []}, Installed(FOLDER, HOME))[0].breaks


@pytest.mark.parametrize(
    ("export", "standing", "says"),
    [
        (None, None, "export.directory: ~/.continue and export.env: ~/.continue/.env in the config keep them there"),
        (exported(), "works", "up to date"),
        (exported(older=["config.yaml"]), "can't work", "not up to date: config.yaml"),
        (exported(missing=list("abcd")), "can't work", "a, b, c and 1 more"),
        (exported(edited=["config.yaml"]), "works", "edited, and left"),
        (exported(HOME / "out"), "works", "the clients look in ~/.continue"),
        (exported(env=None), "works", "the values are wanted in ~/.continue/.env"),
        (exported(problem="it is full"), "can't work", "it is full"),
    ],
)
def test_the_exported_files_are_judged(export: dict[str, Any] | None, standing: str | None, says: str) -> None:
    line = said(facts(export=export), "export")
    assert line.standing == standing
    assert says in line.why


def test_where_handing_over_is_forbidden_the_files_cant_work() -> None:
    assert said(facts(allowed=False), "export").breaks


@pytest.mark.parametrize(
    ("facts", "standing", "says"),
    [
        (facts(export=exported()), "works", "reads ~/.continue/config.yaml"),
        (facts(), "can't work", "export.directory: ~/.continue"),
        (facts(export=exported(HOME / "out")), "can't work", "export.directory: ~/.continue"),
        (facts(export=exported(env=None)), "can't work", "export.env: ~/.continue/.env"),
        (facts(assistant(part("works")), export=exported(env=None)), "works", "reads"),
    ],
)
@pytest.mark.parametrize("installed", [{"cn": "1.5.47"}, {"cn": "2.0.0"}, {"vscode": ("2.0.0",)}])
def test_a_client_without_hub_code_needs_the_files(
    facts: dict[str, Any], standing: str, says: str, installed: dict[str, Any]
) -> None:
    line = said(facts, "cn" if "cn" in installed else "VS Code", **installed)
    assert line.standing == standing
    assert says in line.why


@pytest.mark.parametrize(
    ("facts", "points", "standing", "says"),
    [
        (facts(), True, "works", "goes on from hublet's cache"),
        (facts(), False, "can't work", "asks the Hub itself: `hublet point"),
        (facts(max_stale=7 * 86400.0), True, "can't work", "end 7 d after the Hub"),
        (facts(assistant(part("works")), max_stale=0.0), True, "works", "goes on"),
        (facts(locked=True), True, "can't work", "what unlocks it"),
    ],
)
@pytest.mark.parametrize("version", ["1.5.45", "1.3.33"])
def test_a_client_with_hub_code_needs_to_be_pointed_here(
    facts: dict[str, Any], points: bool, standing: str, says: str, version: str
) -> None:
    if version == "1.5.45":
        line = said(facts, "cn", cn=version, here=points)
    else:
        line = said(facts, "VS Code", vscode=(version,), marked=points)
    assert line.standing == standing
    assert says in line.why


def test_clients_that_were_not_found_break_nothing() -> None:
    found = [line for line in lines(facts(), Installed(FOLDER, HOME)) if line.kind == "client"]
    assert [line.name for line in found] == ["cn", "VS Code", "JetBrains", "SDK"]
    assert not any(line.breaks for line in found)


def test_the_clients_of_this_machine_are_found_without_being_started(tmp_path: Path) -> None:
    place = Place(tmp_path, {"serve": {"port": 3001}})
    assert look(place.scene()).cn is None
    place.write("lib/@continuedev/cli/package.json", '{"name": "@continuedev/cli", "version": "1.5.45"}')
    program = place.write("lib/@continuedev/cli/dist/cn.js", "#!/bin/false\n", 0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cn").symlink_to(program)
    for name in ("continue.continue-2.0.0-linux-x64", "continue.continue-1.3.33", "other.continue-1.0.0"):
        (place.home / ".vscode/extensions" / name).mkdir(parents=True)
    place.write(".continue/.hublet-export.json", "{}")
    found = look(place.scene())
    assert (found.cn, found.vscode, found.by_hand) == ("1.5.45", ("1.3.33", "2.0.0"), True)
    assert not found.here
    place.environment["CONTINUE_API_BASE"] = f"http://localhost:{place.scene().port}"
    assert look(place.scene()).here
    program.with_name("package.json").write_text("[")
    program.parents[1].joinpath("package.json").write_text('{"name": "another"}')
    assert look(place.scene()).cn is None


def test_files_of_the_folder_are_compared_with_what_is_served(tmp_path: Path) -> None:
    """Missing, current, older by a change of the Hub's, edited; no value is in what is told."""
    from hublet.export.files import write_beside, write_files
    from hublet.serve.exporting import export

    out = tmp_path / "home" / ".continue"
    place = Place(tmp_path, {"export": {"directory": out, "default": OWL, "env": out / ".env"}})

    async def told() -> None:
        async with place.running() as it:
            await it.log_in()

            def of_export() -> dict[str, Any]:
                answer = sunset(it.service)
                assert "canary" not in json.dumps(answer)
                return answer["export"]

            await asyncio.sleep(0)
            assert it.service.exporter is not None
            await it.service.exporter.close()
            answer = export(it.service, wish_of(it.service.config.export))
            write_files(out, answer["files"])
            write_beside(out / ".env", answer["env"])
            assert [of_export()[kind] for kind in ("problem", "missing", "older", "edited")] == ["", [], [], []]
            (out / "config.yaml").unlink()
            (out / ".env").write_text("mine=1\n")
            found = of_export()
            assert (found["missing"], found["edited"]) == (["config.yaml"], [".env"])
            assert it.service.sync is not None
            await it.service.sync.lock()
            assert "not served: " in of_export()["problem"]

    asyncio.run(told())


@pytest.mark.slow
def test_the_command_says_the_same_with_and_without_a_daemon(logged_in: Home, hub_server: HubServer) -> None:
    """With exit code 1, since some keys are the Hub's alone; as JSON and as one table; hostile names are text."""
    hub_server.hub.edit_assistant(OWL, "Claude Opus 4", '"Claude [bold]\\e[2J\\u202E"')
    assert logged_in.hublet("sync").returncode == 0
    alone = logged_in.hublet("doctor", "--sunset", "--json")
    with logged_in.daemon():
        served = logged_in.hublet("doctor", "--sunset", "--json")
        text = logged_in.hublet("doctor", "--sunset").stdout.decode()
        words = ["script", "-qec", "stty cols 250; " + " ".join([*HUBLET, "doctor", "--sunset"]), "/dev/null"]
        drawn = logged_in.start_and_wait(words, env={"TERM": "xterm"}).stdout.decode()
        assert "doctor sunset" in logged_in.hublet("audit").stdout.decode()
    assert (alone.returncode, served.returncode) == (1, 1), alone.stderr
    one, other = json.loads(alone.stdout), json.loads(served.stdout)
    assert one["assistants"] == other["assistants"]
    standings = {each["slug"]: each["standing"] for each in one["assistants"] if not each["place"]}
    assert standings[OWL] == "with a key"
    assert (standings["dana/trial-run"], standings["dana/broken"]) == ("needs a key", "can't work")
    for shown in (text, drawn):
        assert "\x1b[2J" not in shown
        assert "\u202e" not in shown
        assert "Claude [bold]\ufffd[2J\ufffd" in shown
        assert "works, with a key you have" in shown
    assert logged_in.hublet("doctor", "--sunset", "--bundle", "x").returncode == 2


@pytest.mark.slow
def test_nothing_breaks_when_every_assistant_has_its_keys_and_the_files_are_there(
    home: Home, hub_server: HubServer
) -> None:
    """Exit code 0 with cn 1.5.47 installed; then a file is gone, and it is 1."""
    world = hub_server.hub.world
    world.roster[:] = ["dana/local-chat", OWL]
    world.organizations.clear()
    out = home.path / ".continue"
    home.configure(hub_server.url, settings={"export": {"directory": str(out), "env": str(out / ".env")}})
    with tempfile.TemporaryDirectory(prefix="hublet-bin-") as name:
        Path(name).chmod(0o755)
        Path(name, "package.json").write_text('{"name": "@continuedev/cli", "version": "1.5.47"}')
        Path(name, "cn").touch(0o755)
        home.environment["PATH"] = f"{name}:/usr/bin:/bin"
        home.login(DEMO_KEY)
        done = home.hublet("doctor", "--sunset")
        assert done.returncode == 0, done.stdout.decode()
        assert done.stdout.decode().endswith("Nothing would break.\n")
        (out / "config.yaml").unlink()
        done = home.hublet("doctor", "--sunset", "--json")
    assert done.returncode == 1
    assert {line["name"]: line["standing"] for line in json.loads(done.stdout)["clients"]}["cn"] == "can't work"
