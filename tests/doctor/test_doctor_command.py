"""`hublet doctor` as a person runs it, with a real daemon and without; and the archive for a bug report."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import tarfile
from base64 import b64encode
from pathlib import Path

import pytest
from tests.running import HUBLET, Home, RunningDaemon, eventually

from hublet.demo.data import DEMO_KEY, ORGANIZATION_SECRETS, USER_SECRETS
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer

pytestmark = pytest.mark.slow

DOCUMENTED = {"service", "secrets.missing"}
"""What is a warning in a healthy home of these tests: no service manager, and a secret that the demo's Hub misses."""


def findings(done: subprocess.CompletedProcess[bytes]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    assert done.stderr == b"", done.stderr.decode()
    for one in json.loads(done.stdout)["findings"]:
        found.setdefault(one["check"], []).append(one)
    return found


def bad(done: subprocess.CompletedProcess[bytes], grade: str) -> set[str]:
    return {check for check, lines in findings(done).items() if any(line["grade"] == grade for line in lines)}


def test_a_healthy_home(logged_in: Home) -> None:
    """Exit code 0 and no warnings but those that are known, as JSON and on the screen; as many lines as findings."""
    with logged_in.daemon(env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}) as daemon:
        assert logged_in.hublet("point", "cn").returncode == 0
        eventually(lambda: b'"running": false' in logged_in.hublet("status", "--json").stdout)
        done = logged_in.hublet("doctor", "--json")
        assert (done.returncode, bad(done, "problem")) == (0, set()), done.stdout.decode()
        assert bad(done, "warning") <= DOCUMENTED, done.stdout.decode()
        for check in (
            "store", "key", "daemon", "port.ipv4", "port.ipv6", "socket.admin", "hub.http", "hub.key", "clock",
            "account", "cache.age", "clients.cn", "machine.core-dumps", "disk", "config", "version",
        ):  # fmt: skip
            assert [line["grade"] for line in findings(done)[check]] == ["ok"], check
        shown = logged_in.hublet("doctor")
        assert shown.returncode == 0
        text = shown.stdout.decode()
        assert f"127.0.0.1:{daemon.port} is this hublet's" in text
        assert "\x1b" not in text
        assert text.splitlines()[-1].startswith("no problems, ")
        assert "doctor" in logged_in.hublet("audit").stdout.decode()


def test_a_home_without_anything(tmp_path: Path) -> None:
    """No daemon, no cache, no Hub: problems are told, and nothing is made."""
    home = Home.make(tmp_path / "home", "http://127.0.0.1:9")
    before = sorted(home.path.rglob("*"))
    done = home.hublet("doctor", "--json")
    assert done.returncode == 1
    assert bad(done, "problem") == {"hub.tcp"}
    assert sorted(home.path.rglob("*")) == before


def test_a_broken_config_with_a_daemon_that_goes_on(logged_in: Home) -> None:
    """The daemon is found where it usually is, and says what it refused."""
    logged_in.environment["XDG_RUNTIME_DIR"] = str(logged_in.path / "xdg")
    (logged_in.path / "xdg").mkdir(mode=0o700)
    text = re.sub(r"  runtime_directory: .*\n", "", logged_in.config.read_text())
    logged_in.config.write_text(text)
    logged_in.own()
    with logged_in.daemon():
        logged_in.config.write_text(text + "nonsense: 1\n")
        eventually(lambda: b"nonsense" in logged_in.hublet("status", "--json").stdout)
        done = logged_in.hublet("doctor", "--json")
        found = findings(done)
        assert done.returncode == 1
        assert any("nonsense" in line["message"] for line in found["config"])
        assert any("nonsense" in line["message"] for line in found["config.running"])
        assert found["daemon"][0]["grade"] == "ok"


def test_hostile_names_are_shown_as_text(logged_in: Home, hub_server: HubServer) -> None:
    """What a Hub says can neither move the cursor nor be taken for markup."""
    from hublet.demo.faults import Status

    hub_server.hub.inject(Status(404, "User not found \x1b[2J[bold red]x[/]\u202e"), "/ide/list-organizations")
    with logged_in.daemon():
        eventually(lambda: b"User not found" in logged_in.hublet("doctor", "--json").stdout)
        words = ["script", "-qec", " ".join([*HUBLET, "doctor"]), "/dev/null"]
        done = logged_in.start_and_wait(words, env={"TERM": "dumb"})
        for text in (done.stdout.decode(), logged_in.hublet("doctor").stdout.decode()):
            assert "\x1b[2J" not in text
            assert "\u202e" not in text
            assert "[bold red]x[/]" in text


CANARY = "canary-of-the-doctor-0123456789"


def _planted(home: Home, hub: Hub) -> list[str]:
    """Everything secret that a home can have in the places that the archive is made from."""
    units = home.path / ".config/systemd/user"
    (units / "hublet.service.d").mkdir(parents=True)
    (units / "hublet.service").write_text(f"[Service]\nEnvironment=MY_PASSWORD={CANARY}-unit\nExecStart=/bin/true\n")
    (units / "hublet.service.d/mine.conf").write_text(
        f'[Service]\nEnvironment="A={CANARY}-a" B={CANARY}-b\nExecStartPre=/bin/x con_{CANARY}\n'
    )
    bin = home.path / "bin"
    bin.mkdir()
    (bin / "journalctl").write_text(
        f"#!/bin/sh\necho 'sent Bearer {CANARY}-bearer to https://me:{CANARY}-in-url@hub.example/x con_{CANARY}-log'\n"
        f"echo 'hublet_{CANARY}-token, acme/backend of Acme Corp in {home.path}/x on {socket.gethostname()}'\n"
    )
    (bin / "journalctl").chmod(0o755)
    home.environment["PATH"] = f"{bin}:{os.environ['PATH']}"
    home.environment["HTTPS_PROXY"] = f"http://me:{CANARY}-proxy@proxy.example:3128"
    home.environment["USER"] = "dana-the-user"
    override = home.path / "override.env"
    override.write_text(f"OPENAI_API_KEY={CANARY}-override\n")
    override.chmod(0o600)
    home.config.write_text(home.config.read_text() + f"secrets:\n  override: {override}  # {CANARY}-comment\n")
    home.own()
    kek = (home.path / "key" / "kek").read_bytes()
    keys = [kek.hex(), b64encode(kek).decode(), kek.decode("latin-1")]
    values = [*USER_SECRETS.values(), *(v for each in ORGANIZATION_SECRETS.values() for v in each.values())]
    return [DEMO_KEY, CANARY, *keys, *values]


def _archive(home: Home, name: str) -> dict[str, str]:
    with tarfile.open(home.path / name) as archive:
        members = {info.name: archive.extractfile(info) for info in archive.getmembers()}
        return {name: file.read().decode() for name, file in members.items() if file is not None}


@pytest.mark.parametrize("with_daemon", [True, False])
def test_the_archive_tells_no_secret_and_no_name(logged_in: Home, hub_server: HubServer, with_daemon: bool) -> None:
    """No value, key or token; no assistant, organization or person; and still what a bug report needs."""
    canaries = _planted(logged_in, hub_server.hub)
    if with_daemon:
        with logged_in.daemon() as daemon:
            made = logged_in.hublet("token", "--name", "canary").stdout.decode()
            canaries.append(re.search(r"hublet_\S+", made)[0])  # type: ignore[index]
            text = _written(logged_in, daemon)
    else:
        text = _written(logged_in, None)
    everything = json.dumps(text, ensure_ascii=False) + "".join(text.values())
    for canary in canaries:
        assert canary not in everything, canary
    world = hub_server.hub.world
    names = [*world.sources, *(organization.name for organization in world.organizations.values()), "NOT_ANYWHERE"]
    names += ["dana-the-user", str(logged_in.path), socket.gethostname(), "Acme Corp", "proxy.example"]
    for name in names:
        assert name not in everything, name
    assert set(text) >= {f"hublet-report/{name}" for name in (
        "findings.json", "status.json", "process.json", "config.json", "versions.json", "log.txt",
        "units/hublet.service", "units/hublet.service.d/mine.conf",
    )}  # fmt: skip
    assert "MY_PASSWORD=**********" in text["hublet-report/units/hublet.service"]
    assert json.loads(text["hublet-report/status.json"])["version"]
    assert json.loads(text["hublet-report/config.json"])["sync.every"] == 900
    checks = {one["check"] for one in json.loads(text["hublet-report/findings.json"])}
    assert {"config", "store", "key", "hub.http", "clients.cn"} <= checks


def _written(home: Home, daemon: RunningDaemon | None) -> dict[str, str]:
    if daemon is not None:
        eventually(lambda: b'"running": false' in home.hublet("status", "--json").stdout)
    other = {"HTTPS_PROXY": f"http://me:{CANARY}-other@other-proxy.example:3128"}
    done = home.hublet("doctor", "--bundle", str(home.path / "report.tar.gz"), env=other)
    assert b"read it before you give it away" in done.stdout, done.stderr.decode()
    for canary in (CANARY, DEMO_KEY):
        assert canary not in done.stdout.decode()
    return _archive(home, "report.tar.gz")


def test_the_archive_is_its_owners_and_overwrites_nothing(home: Home) -> None:
    """Not even through a link."""
    file = home.path / "report.tar.gz"
    home.hublet("doctor", "--bundle", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    done = home.hublet("doctor", "--bundle", str(file))
    assert (done.returncode, b"is there already" in done.stderr) == (2, True)
    assert file.read_bytes() == before
    link = home.path / "link.tar.gz"
    link.symlink_to(home.path / "nowhere")
    assert home.hublet("doctor", "--bundle", str(link)).returncode == 2
    assert not (home.path / "nowhere").exists()
    assert home.hublet("doctor", "--bundle", str(home.path / "no" / "folder")).returncode == 2
