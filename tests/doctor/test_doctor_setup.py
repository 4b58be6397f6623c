"""Config, versions, rights, disk and installs, each with its fault made; and how checks are run."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.doctor.looking import Place, grades, only

from hublet.core.errors import UsageError
from hublet.core.secretstr import SecretStr
from hublet.doctor import installs, setup
from hublet.doctor.findings import Check, Finding, Findings, ok, run
from hublet.doctor.scene import Scene
from hublet.host.hardening import is_dumpable
from hublet.redaction import Redactor


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_config_that_is_used_is_named(place: Place) -> None:
    """Also where it is a link to another file."""
    assert only(place.found(setup.config), "config") == ok("config", str(place.config))
    real = place.config.rename(place.path / "real.yaml")
    place.config.symlink_to(real)
    assert str(real) in only(place.found(setup.config), "config").message


def test_every_problem_of_the_config_is_told_with_its_line_and_the_rest_goes_on(place: Place) -> None:
    place.config.write_text("hub:\n  url: ftp://x\nserve:\n  prot: 1\n")
    found = place.found(setup.config, setup.disk)
    lines = [finding.message for finding in found if finding.grade == "problem"]
    assert [line.partition(":")[2].partition(":")[0] for line in lines] == ["2", "4"]
    assert "did you mean port" in lines[1]
    assert grades(found)["disk"] == "ok"


def test_a_config_that_others_can_change_is_a_problem_and_one_they_can_read_a_warning() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        place = Place(Path(folder))
        place.path.chmod(0o755)
        place.config.chmod(0o644)
        assert "can be read by others" in place.found(setup.config)[-1].message
        place.config.chmod(0o666)
        first = place.found(setup.config)[0]
        assert (first.grade, "can be changed by others" in first.message) == ("problem", True)


def test_a_config_in_a_closed_folder_is_nobody_elses_to_read(place: Place) -> None:
    place.config.chmod(0o644)
    place.path.chmod(0o700)
    assert grades(place.found(setup.config)) == {"config": "ok"}


def test_what_the_administrator_settles_is_named(place: Place) -> None:
    (place.path / "managed.yaml").write_text("serve:\n  passthrough: none\nunlock_offline: false\n")
    place.path.chmod(0o700)
    lines = [finding.message for finding in place.found(setup.config) if finding.check == "config.managed"]
    assert len(lines) == 2
    assert "serve.passthrough: none" in lines[0]
    (place.path / "managed.yaml").chmod(0o666)
    assert place.found(setup.config)[0].grade == "problem"


def test_what_the_daemon_refused_and_what_waits_for_a_restart_is_told(place: Place) -> None:
    async def scenario() -> list[Finding]:
        async with place.running() as it:
            it.service.config_problems = ("config.yaml:3: serve.prot: unknown key",)
            it.service.config_pending = ("cache.directory: takes effect after a restart",)
            return await place.told(setup.config)

    found = [finding for finding in asyncio.run(scenario()) if finding.check == "config.running"]
    assert [finding.grade for finding in found] == ["problem", "warning"]


def test_a_daemon_with_another_idea_of_where_things_are_is_told(place: Place) -> None:
    """As a service has that was installed from a shell with another XDG_DATA_HOME."""

    async def scenario() -> list[Finding]:
        async with place.running():
            place.configure(cache={"directory": place.path / "elsewhere"}, hub={"url": "https://other.example"})
            return await place.told(setup.config)

    found = asyncio.run(scenario())
    assert [f.message for f in found if "elsewhere" in f.message and str(place.data) in f.message]
    assert [f.message for f in found if "https://other.example" in f.message]
    assert {finding.grade for finding in found if finding.check == "config.running"} == {"warning"}


def test_the_rights_it_runs_with_are_told(place: Place) -> None:
    """These tests' own: root's are a warning."""
    assert grades(place.found(setup.rights))["machine.user"] == ("warning" if os.getuid() == 0 else "ok")


def test_a_daemon_that_could_leave_a_core_dump_is_told(place: Place) -> None:
    """This process is one, as long as nobody has asked the kernel; commands that ran in it before may have."""
    set_dumpable, before = ctypes.CDLL(None).prctl, is_dumpable()
    set_dumpable(4, *map(ctypes.c_ulong, (1, 0, 0, 0)))

    async def scenario() -> list[Finding]:
        async with place.running():
            return await place.told(setup.rights)

    try:
        assert only(asyncio.run(scenario()), "machine.core-dumps").grade == "warning"
    finally:
        set_dumpable(4, *map(ctypes.c_ulong, (int(bool(before)), 0, 0, 0)))


def test_a_container_is_named(place: Place) -> None:
    place.environment["container"] = "podman"
    assert "podman" in only(place.found(setup.rights), "machine.container").message


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize(
    ("size", "options", "grade"), [("8m", "", "problem"), ("100m", "", "warning"), ("300m", ",ro", "problem")]
)
def test_a_full_disk(place: Place, size: str, options: str, grade: str) -> None:
    """A file system of that size, with nothing on it; one that is mounted read-only."""
    place.data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", place.data], check=True)
    try:
        assert only(place.found(setup.disk), "disk").grade == grade
    finally:
        subprocess.run(["umount", place.data], check=True)


def test_room_enough_is_ok(place: Place) -> None:
    """Of the folder that is to hold a cache that is not there yet."""
    assert not place.data.exists()
    assert only(place.found(setup.disk), "disk").grade == "ok"


def _install(place: Place, folder: str, version: str) -> Path:
    """An environment with the program in it, as pip makes one."""
    environment = place.home / folder
    (environment / "bin").mkdir(parents=True)
    script = environment / "bin" / "hublet"
    script.write_text(f"#!{environment}/bin/python\nimport hublet\n")
    script.chmod(0o755)
    (environment / f"lib/python3.11/site-packages/hublet-{version}.dist-info").mkdir(parents=True)
    return script


def test_two_installs_are_named_with_how_one_gets_to_each(place: Place) -> None:
    """One of pipx, with its link on PATH, and one in an environment; this command's own is a third."""
    pipx = _install(place, ".local/share/pipx/venvs/hublet", "0.9")
    _install(place, ".local/share/uv/tools/hublet", "0.8")
    link = place.home / ".local/bin/hublet"
    link.parent.mkdir()
    link.symlink_to(pipx)
    place.environment["PATH"] = f"{place.path}/nowhere:{link.parent}:relative"
    found = place.found(installs.installs)
    assert [finding.grade for finding in found] == ["warning"] * 3
    assert found[0].message.endswith(f"in {Path(sys.prefix).resolve()}: this command")
    assert found[1].message == f"hublet 0.9 in {pipx.parents[1]}: {link}, pipx"
    assert "hublet 0.8" in found[2].message
    assert found[2].message.endswith("uv tool")


def test_the_environment_of_a_long_interpreters_script_is_found(place: Place) -> None:
    """Where the path is too long for a first line, pip writes a shell's `exec`."""
    script = place.write("bin/hublet", "#!/bin/sh\n'''exec' \"/a b/venv/bin/python3\" \"$0\" \"$@\"\n' '''\n", 0o755)
    assert installs._environment_of(script) == Path("/a b/venv")


def test_one_install_is_ok(place: Place) -> None:
    assert grades(place.found(installs.installs)) == {"installs": "ok"}


def test_a_service_that_starts_another_hublet_is_told(place: Place) -> None:
    script = _install(place, "old venv", "0.1")
    place.write(".config/systemd/user/hublet.service", '[Service]\nExecStart="%h/old venv/bin/hublet" run\n')
    found = place.found(installs.installs)
    assert f"hublet 0.1 in {script.parents[1]}: the service" in [finding.message for finding in found]


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_check_that_hangs_or_fails_is_a_problem_by_itself(place: Place, stuck: threading.Event) -> None:
    """The others are heard, and so is what it had said before; no exception's text is shown."""

    def hangs(scene: Scene) -> Findings:
        yield ok("slow", "began")
        stuck.wait(60)

    def fails(scene: Scene) -> Findings:
        yield ok("bad", "began")
        raise ValueError("sk-secret")

    def refuses(scene: Scene) -> Findings:
        raise UsageError("no", hint="do this")
        yield

    def reads(scene: Scene) -> Findings:
        yield ok("disk", Path("/nonexistent/file").read_text())

    checks = [Check("slow", hangs, 0.2), Check("bad", fails), Check("refuses", refuses), Check("disk", reads)]
    found = run(checks, place.scene())
    assert [(f.check, f.grade) for f in found] == [
        ("slow", "ok"), ("slow", "problem"), ("bad", "ok"), ("bad", "problem"), ("refuses", "problem"),
        ("disk", "problem"),
    ]  # fmt: skip
    assert "not known after 0 s" in found[1].message
    assert "ValueError" in found[3].message
    assert "sk-secret" not in str(found)
    assert found[4].fix == "do this"
    assert "/nonexistent/file" in found[5].message


def test_checks_wait_side_by_side(place: Place) -> None:
    """Two that wait for each other both end."""
    meeting = threading.Barrier(2, timeout=20)

    def meets(scene: Scene) -> Findings:
        meeting.wait()
        yield ok("met", "met")

    assert grades(run([Check("a", meets), Check("b", meets)], place.scene())) == {"met": "ok"}


def test_what_is_said_is_redacted(place: Place) -> None:
    """A proxy that quotes what it was sent, and a value that this process holds."""
    redactor = Redactor()
    redactor.watch(lambda: [SecretStr("hunter22-hunter22")], tuple)
    scene = place.scene()
    object.__setattr__(scene, "redactor", redactor)
    found = run([Check("x", lambda _: iter([ok("x", "bad con_abcdefghijkl, hunter22-hunter22")]))], scene)
    assert "abcdefghijkl" not in found[0].message
    assert "hunter22" not in found[0].message
