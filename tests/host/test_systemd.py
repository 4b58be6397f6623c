"""hublet as a service of a real `systemd --user`, installed where a throwaway user can read it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.host.installed import Installed, free_port, install_program, why_not
from tests.host.journal_stand import journal_of
from tests.host.test_service_files import SHIPPED
from tests.running import eventually
from tests.user_systemd import user_manager
from tests.user_systemd import why_not as why_no_manager

from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.faults import ErrorPage, Hang
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.skipif(bool(why_no_manager() or why_not()), reason=why_no_manager() or why_not()),
]
UNITS = Path(".config/systemd/user")
_LOG = "[Service]\nStandardOutput=append:%h/log\nStandardError=append:%h/log\n"  # there is no journald here


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer(Hub()) as server:
        yield server


@pytest.fixture(scope="module")
def installed(hub: HubServer) -> Iterator[Installed]:
    """hublet installed and logged in to the demo Hub, but not a service yet."""
    with user_manager() as manager:
        (manager.home / "log").touch()
        found = Installed(manager, install_program(manager), free_port(), hub.url)
        os.chown(manager.home / "log", manager.uid, manager.uid)
        found.configure()
        manager.write(f"{UNITS}/hublet.service.d/log.conf", _LOG)
        done = found.hublet("login", input=DEMO_KEY.encode())
        assert done.returncode == 0, done.stderr.decode()
        yield found


@pytest.fixture
def service(installed: Installed) -> Iterator[Installed]:
    """hublet as a running service, with its first config."""
    installed.configure()
    installed.service("install")
    assert installed.ask("/ide/policy") == 200
    installed.wait("ActiveState", "active")
    yield installed
    own = installed.manager.home / UNITS / "hublet.service.d" / "test.conf"
    if own.exists():
        own.unlink()
        installed.manager.systemctl("daemon-reload")
        installed.manager.systemctl("restart", "hublet.service")


def files(home: Path) -> set[Path]:
    return {path.relative_to(home) for path in home.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_install_request_uninstall(installed: Installed) -> None:
    """A dry run changes nothing; the first request starts it; READY and STATUS are heard; a second install changes
    nothing; uninstall leaves no file but data."""
    home = installed.manager.home
    before = files(home)
    shown = installed.service("install", "--dry-run")
    assert "run systemctl --user start hublet.socket" in shown
    assert "    ListenStream=[::1]:" in shown
    assert files(home) == before

    installed.service("install")
    assert installed.show("ActiveState") == "inactive"
    assert installed.show("ActiveState", "hublet.socket") == "active"
    assert installed.show("UnitFileState") == "enabled"
    for address in ("127.0.0.1", "[::1]"):
        assert f"{address}:{installed.port} (Stream)" in installed.show("Listen", "hublet.socket")

    assert installed.ask("/ide/list-assistants") == 200
    installed.wait("SubState", "running")
    assert installed.show("Type") == "notify"
    eventually(lambda: "last sync" in installed.show("StatusText"))
    assert f"serving http://localhost:{installed.port}" in installed.show("StatusText")
    eventually(lambda: "next sync" in installed.service("status"))
    pid = installed.show("MainPID")
    steps = installed.service("install", "--dry-run")
    assert "write" not in steps
    installed.service("install")
    assert installed.show("MainPID") == pid

    installed.service("uninstall")
    left = files(home) - before
    assert {path.parts[:3] for path in left} <= {(".local", "share", "hublet"), (".local", "state", "hublet-key")}
    for unit in ("hublet.service", "hublet.socket"):
        # the drop-in for the log is the tester's own: the unit is known by it alone, without a file of its own
        assert installed.show("FragmentPath", unit) == ""
        assert installed.show("ActiveState", unit) == "inactive"
    assert installed.hublet("service", "status").returncode == 9
    assert "No service was installed" in installed.service("uninstall")


def test_killed_it_comes_back_and_no_connection_is_refused(service: Installed) -> None:
    """Those in work are lost with the process; all others wait at the socket."""
    pid, restarts = service.show("MainPID"), int(service.show("NRestarts"))
    with service.load() as load:
        time.sleep(0.3)
        os.kill(int(pid), signal.SIGKILL)
        eventually(lambda: service.show("NRestarts") == str(restarts + 1))
        service.wait("ActiveState", "active")
        time.sleep(0.3)
    assert not [failure for failure in load.failures if "refused" in failure.lower()]
    assert len(load.failures) <= 4  # at most one for each client: those that were accepted already
    assert set(load.counts) == {"200"}
    assert service.show("MainPID") != pid


def test_a_restart_loses_no_request(service: Installed) -> None:
    """`hublet service restart`, as an upgrade does: what is in work is answered, what comes waits."""
    with service.load() as load:
        for _ in range(2):
            time.sleep(0.3)
            service.service("restart")
        time.sleep(0.3)
    load.assert_all_answered()


def test_a_stopped_process_is_restarted_by_the_watchdog(service: Installed) -> None:
    """The heartbeat feeds it; after SIGSTOP the manager ends the process and starts another."""
    service.manager.write(f"{UNITS}/hublet.service.d/test.conf", "[Service]\nWatchdogSec=1500ms\n")
    service.manager.systemctl("daemon-reload")
    service.manager.systemctl("restart", "hublet.service")
    pid, restarts = int(service.show("MainPID")), service.show("NRestarts")
    time.sleep(2.5)
    assert (int(service.show("MainPID")), service.show("NRestarts")) == (pid, restarts)
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: service.show("NRestarts") != restarts)
    assert service.ask("/ide/policy") == 200
    assert int(service.show("MainPID")) not in (0, pid)


def test_reload_good_and_bad_under_load(service: Installed) -> None:
    """By systemctl and by the watched file: no request fails, the process stays, status names the line."""
    pid = service.show("MainPID")
    with service.load() as load:
        service.configure("log:", "  level: debug")
        service.manager.systemctl("reload", "hublet.service")
        eventually(lambda: "log.level changed" in service.log)
        service.configure("log:", "  level: dbug", "hob: 1")
        service.manager.systemctl("reload", "hublet.service")
        eventually(lambda: "(2 problems)" in service.show("StatusText"))
        said = service.hublet("status").stdout.decode()
        assert re.search(r"config refused: .*config\.yaml:6: log\.level: must be", said)
        assert re.search(r"config refused: .*config\.yaml:7: hob: unknown key: did you mean hub\?", said)
        service.configure()  # found by the watch alone
        eventually(lambda: "refused" not in service.show("StatusText"))
        service.wait("ActiveState", "active")
    load.assert_all_answered()
    assert service.show("MainPID") == pid


def test_it_logs_to_the_journal_with_levels_and_fields(service: Installed, hub: HubServer) -> None:
    """Out of its sandbox, by the native protocol, at the most talkative level and without the key."""
    with journal_of(service.manager) as journal:
        service.manager.write(f"{UNITS}/hublet.service.d/test.conf", "[Service]\nStandardError=journal\n")
        service.configure("log:", "  level: debug")
        service.manager.systemctl("daemon-reload")
        service.manager.systemctl("restart", "hublet.service")
        with hub.hub.failing(ErrorPage(502)):
            assert service.hublet("sync").returncode == 12
        assert service.hublet("sync").returncode == 0
        eventually(lambda: [entry for entry in journal.entries() if entry.get("HUBLET_EVENT") == "online"])
        entries = journal.entries()
    said = {entry["MESSAGE"]: entry for entry in entries}
    listening = said[f"listening on http://localhost:{service.port}"]
    assert (listening["PRIORITY"], listening["SYSLOG_IDENTIFIER"], listening["LOGGER"]) == ("6", "hublet", "hublet")
    assert listening["CODE_FILE"].endswith("hublet/daemon.py")
    assert said["the Hub does not answer"]["HUBLET_EVENT"] == "offline"
    assert {entry["PRIORITY"] for entry in entries} >= {"6", "7"}
    canaries = [DEMO_KEY, *(value for value in USER_SECRETS.values() if len(value) > 8)]
    text = "\n".join("".join(entry.values()) for entry in entries)
    assert not [canary for canary in canaries if canary in text]


def test_the_port_is_the_managers_to_change(service: Installed) -> None:
    """A reload says so; `hublet service install` makes it so, and a config with another port is served there."""
    port, other = service.port, free_port()
    service.configure(port=other)
    service.manager.systemctl("reload", "hublet.service")
    eventually(lambda: "serve.port: the service manager holds port" in service.log)
    assert service.ask("/ide/policy") == 200
    service.service("install")
    service.port = other
    try:
        assert service.ask("/ide/policy") == 200
    finally:
        service.port = port
        service.configure()
        service.service("install")


def test_stop_answers_what_is_in_work(service: Installed, hub: HubServer) -> None:
    """A client that waits for a Hub that hangs gets its answer; then the socket is closed until `start`."""
    service.configure("  wait: 2s")
    service.manager.systemctl("reload", "hublet.service")
    eventually(lambda: "serve.wait changed" in service.log)
    with hub.hub.failing(Hang(), "/ide/get-assistant"):
        waiting = service.asking("/ide/get-assistant/nobody/asked-before")
        time.sleep(0.5)
        service.service("stop")
        said, _ = waiting.communicate(timeout=20)
    assert said == b"503\n"
    assert service.show("ActiveState") == "inactive"
    assert service.show("Result") == "success"
    assert service.show("ActiveState", "hublet.socket") == "inactive"
    assert service.hublet("service", "status").returncode == 9
    service.service("start")
    assert service.ask("/ide/policy") == 200


def test_without_a_socket_it_binds_the_port_itself(service: Installed) -> None:
    """Installing again goes back to the socket."""
    service.service("install", "--no-socket")
    assert not (service.manager.home / UNITS / "hublet.socket").exists()
    service.wait("ActiveState", "active")
    assert service.ask("/ide/policy") == 200
    service.service("install")
    assert service.show("ActiveState", "hublet.socket") == "active"
    assert service.ask("/ide/policy") == 200


def test_a_unit_edited_by_hand_is_left_alone(service: Installed) -> None:
    """Named, by install and uninstall; --force overwrites it."""
    unit = service.manager.home / UNITS / "hublet.service"
    ours = unit.read_text()
    edited = ours.replace("RestartSec=2", "RestartSec=1")
    service.manager.write(f"{UNITS}/hublet.service", edited)
    for verb in ("install", "uninstall"):
        done = service.hublet("service", verb)
        assert done.returncode == 2
        assert f"{unit}: edited by hand" in done.stderr.decode()
        assert unit.read_text() == edited
    service.service("install", "--force")
    assert unit.read_text() == ours


_PROBE = """
import ctypes, errno, json, mmap, os, pathlib, socket
home, found = pathlib.Path.home(), {}
def probe(name, deed):
    try:
        deed()
        found[name] = "done"
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        found[name] = type(error).__name__
for name, folder in {
    "home": home, "config": home / ".config/hublet", "units": home / ".config/systemd/user", "tmp": "/tmp",
    "data": home / ".local/share/hublet", "key": home / ".local/state/hublet-key", "share": home / ".local/share",
    "runtime": os.environ["RUNTIME_DIRECTORY"], "bus": os.environ["XDG_RUNTIME_DIR"], "usr": "/usr/lib",
}.items():
    def write(file=pathlib.Path(folder, "probe-of-the-sandbox")):
        file.write_text("x")
        if str(folder) != "/tmp":
            file.unlink()
    probe(name, write)
probe("tmp is private", lambda: None if not os.path.exists("/tmp/HIDDEN") else 1 / 0)
libc = ctypes.CDLL(None, use_errno=True)
def unshare():
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")
probe("namespace", unshare)
probe("write and execute", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
probe("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM))
probe("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4))
probe("chroot", lambda: os.chroot("/tmp"))
wanted = ("CapEff", "CapBnd", "NoNewPrivs")
found["rights"] = [line.split()[1] for line in open("/proc/self/status") if line.startswith(wanted)]
(home / ".local/share/hublet/probe.json").write_text(json.dumps(found))
"""


@pytest.mark.parametrize("with_credential", [False, True])
def test_the_sandbox_has_its_effects(service: Installed, with_credential: bool) -> None:
    """What a process in it can really do: the unit as it is, with another program; with a credential too."""
    home = service.manager.home
    hidden = Path("/tmp") / f"hidden-{os.getpid()}"
    unit = (home / UNITS / "hublet.service").read_text()
    unit = re.sub(r"^(Requires|Restart|RestartSec|WatchdogSec|ExecReload)=.*\n", "", unit, flags=re.MULTILINE)
    unit = unit.replace("Type=notify", "Type=oneshot")
    python = service.program.with_name("python")
    service.manager.write("probe.py", _PROBE.replace("/tmp/HIDDEN", str(hidden)))
    unit = re.sub(r"^ExecStart=.*", f"ExecStart={python} {home}/probe.py", unit, flags=re.MULTILINE)
    unit = unit.replace("RuntimeDirectory=hublet", "RuntimeDirectory=probe")
    service.manager.write(".config/hublet/hublet-key", os.urandom(32))
    drop_in = SHIPPED["systemd/hublet.service.d/50-credential.conf"]
    service.manager.write(f"{UNITS}/probe.service", unit + _LOG + (drop_in if with_credential else ""))
    hidden.touch()
    try:
        service.manager.systemctl("daemon-reload")
        service.manager.systemctl("start", "probe.service")
        found = json.loads((home / ".local/share/hublet/probe.json").read_text())
    finally:
        hidden.unlink()
        (home / UNITS / "probe.service").unlink()
        service.manager.systemctl("daemon-reload")
    read_only = ("home", "config", "units", "share", "usr", *(() if with_credential else ("bus",)))
    writable = ("data", "key", "runtime", "tmp", *(("bus",) if with_credential else ()))
    assert found == dict.fromkeys(read_only, "EROFS") | dict.fromkeys(writable, "done") | {
        "tmp is private": "done", "netlink": "done", "namespace": "EPERM", "write and execute": "EPERM",
        "packet": "EAFNOSUPPORT", "chroot": "EPERM", "rights": ["0" * 16, "0" * 16, "1"],
    }  # fmt: skip


def test_the_security_score(service: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    """At most 1.6, as `systemd-analyze --user security` counts."""
    said = service.manager.run("systemd-analyze", "--user", "--no-pager", "security", "hublet.service").stdout.decode()
    line = said[said.index("→") :].strip()
    with capsys.disabled():
        print(f"\n{line}")
    assert float(re.search(r"hublet\.service: ([\d.]+)", line)[1]) <= 1.6  # type: ignore[index]


def test_no_user_manager_has_an_exit_code_of_its_own(installed: Installed) -> None:
    """And the hint says what to do instead."""
    program, nowhere = str(installed.program), {"XDG_RUNTIME_DIR": "/nonexistent", "DBUS_SESSION_BUS_ADDRESS": ""}
    done = installed.manager.run(program, "service", "install", env=nowhere)
    assert done.returncode == 14
    assert "no systemd user manager answers" in done.stderr.decode()
    for word in ("`hublet run`", "enable-linger", "profile"):
        assert word in done.stderr.decode()


def test_a_service_with_a_credential(service: Installed) -> None:
    """The drop-in that hands a key over starts: what 252 can't have together with it is given up in there."""
    service.manager.write("the key", os.urandom(32))
    service.service("install", "--credential", str(service.manager.home / "the key"))
    try:
        service.manager.systemctl("restart", "hublet.service")
        assert service.ask("/ide/policy") == 200
        credential = service.inside(f"/proc/{service.show('MainPID')}/environ").read_bytes()
        assert b"CREDENTIALS_DIRECTORY=" in credential
    finally:
        service.service("install")
    assert not (service.manager.home / UNITS / "hublet.service.d/50-credential.conf").exists()


def test_a_secret_is_not_put_into_a_unit(installed: Installed) -> None:
    """A proxy is; both are shown by a dry run alone."""
    done = installed.hublet("service", "install", "--dry-run", "--env", "CONTINUE_API_KEY=con_x")
    assert done.returncode == 2
    assert "looks like a secret" in done.stderr.decode()
    shown = installed.service("install", "--dry-run", "--env", "HTTPS_PROXY=http://proxy:3128")
    assert "Environment=HTTPS_PROXY=http://proxy:3128" in shown


def test_a_folder_is_the_hub_and_files_are_exported_from_within_the_sandbox(service: Installed) -> None:
    """The folder is read and followed, the one that the config names is written: with a second install, which opens
    it."""
    home = service.manager.home
    text = "name: Chat\nversion: 1.0.0\nschema: v1\nmodels:\n  - {name: A, provider: ollama, model: a}\nrules: [R, S]\n"
    service.manager.write("hub/team/chat.yaml", text)
    service.manager.write("out/mine", "mine\n")
    hub_url, service.hub_url = service.hub_url, (home / "hub").as_uri()
    try:
        service.configure("export:", f"  directory: {home / 'out'}", "  default: team/chat")
        service.service("install")
        service.manager.systemctl("restart", "hublet.service")
        file = home / "out" / "config.yaml"
        eventually(file.exists)
        assert "- R\n" in file.read_text()
        service.manager.write("hub/team/chat.yaml", text.replace("R, S", "T, U"))
        eventually(lambda: "- T\n" in file.read_text())
        assert (home / "out" / "mine").read_text() == "mine\n"
    finally:
        service.hub_url = hub_url


def test_purge_asks_and_then_deletes_the_cache_and_its_key(service: Installed) -> None:
    """An answer other than yes leaves everything, the service too; the config always stays."""
    home = service.manager.home
    data, key = home / ".local/share/hublet", home / ".local/state/hublet-key"
    done = service.hublet("service", "uninstall", "--purge", input=b"n\n")
    assert done.returncode == 130
    assert service.ask("/ide/policy") == 200
    service.service("uninstall", "--purge", "--yes")
    assert not data.exists()
    assert not key.exists()
    assert (home / ".config/hublet/config.yaml").exists()
