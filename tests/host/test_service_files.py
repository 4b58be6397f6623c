"""The texts of the units and of the property list: the files that ship are what install renders."""

from __future__ import annotations

import plistlib
from pathlib import Path

import pytest

from hublet.core.errors import NoServiceManager, UsageError
from hublet.host import launchd, systemd
from hublet.host.program import find_program
from hublet.host.steps import Plan, is_as_written

ROOT = Path(__file__).parents[2]
_HOME, _MAC_HOME = Path("/home/you"), Path("/Users/you")
LINUX = Plan(
    program=_HOME / ".local/bin/hublet",
    home=_HOME,
    writable=(_HOME / ".local/share/hublet", _HOME / ".local/state/hublet-key"),
    credential=_HOME / ".config/hublet/hublet-key",
)
MAC = Plan(program=_MAC_HOME / ".local/bin/hublet", home=_MAC_HOME)
_UNITS = systemd.render(LINUX, growing_delay=True)
SHIPPED = {
    "systemd/hublet.service": _UNITS[systemd.SERVICE],
    "systemd/hublet.socket": _UNITS[systemd.SOCKET],
    "systemd/hublet.service.d/50-restart.conf": _UNITS[systemd.RESTART],
    "systemd/hublet.service.d/50-credential.conf": _UNITS[systemd.CREDENTIAL],
    "launchd/dev.hublet.agent.plist": launchd.render(MAC),
}
# The keys that launchd.plist(5) documents, as far as an agent may have them, and what a socket's dictionary may hold.
PLIST_KEYS = {
    "Label", "ProgramArguments", "RunAtLoad", "KeepAlive", "ThrottleInterval", "ExitTimeOut", "ProcessType",
    "LowPriorityIO", "Umask", "StandardOutPath", "StandardErrorPath", "Sockets", "EnvironmentVariables",
}  # fmt: skip
SOCKET_KEYS = {"SockNodeName", "SockServiceName", "SockType", "SockFamily", "SockPassive", "SockProtocol"}


def test_the_sandbox_leaves_the_system_bus_and_routes_in_reach() -> None:
    """A socket below /run can be connected to although /run is read-only, unless another line hides it. Routes are
    asked for over netlink."""
    unit = SHIPPED["systemd/hublet.service"]
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n" in unit
    for line in ("InaccessiblePaths", "TemporaryFileSystem", "RootDirectory", "PrivateNetwork", "IPAddressDeny"):
        assert line not in unit


def test_without_systemd_install_says_what_to_do_instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no systemctl at all; with an exit code of its own."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoServiceManager) as caught:
        systemd.Systemd({"HOME": str(tmp_path)}).check()
    assert caught.value.exit_code == 14
    for words in ("`hublet run`", "enable-linger", "profile"):
        assert words in caught.value.hint


@pytest.mark.parametrize("name", SHIPPED)
def test_the_files_that_ship_are_what_install_renders(name: str) -> None:
    """For the default paths; nothing else lies beside them."""
    assert (ROOT / name).read_text() == SHIPPED[name]
    assert is_as_written(SHIPPED[name])
    found = {
        str(path.relative_to(ROOT)) for top in ("systemd", "launchd") for path in (ROOT / top).rglob("*.*")
        if path.is_file()
    }  # fmt: skip
    assert found == set(SHIPPED)


def test_an_edit_by_hand_is_noticed() -> None:
    """A change of any byte, and a file that somebody else has written."""
    text = SHIPPED["systemd/hublet.service"]
    assert not is_as_written(text.replace("RestartSec=2", "RestartSec=3"))
    assert not is_as_written(text + "# mine\n")
    assert not is_as_written("[Service]\nExecStart=/bin/true\n")


def test_odd_paths_are_meant_literally() -> None:
    """Specifiers, variables, quotes and blanks are all doubled or quoted."""
    home = Path("/home/o dd")
    plan = Plan(
        program=Path('/opt/100% $HOME/"x"/hublet'), home=home, options=("--config", "/home/o dd/my config.yaml"),
        writable=(home / "da ta",), environment={"HTTPS_PROXY": "http://p%20q:1"}, socket=False,
    )  # fmt: skip
    lines = systemd.render(plan)[systemd.SERVICE].splitlines()
    assert 'ExecStart="/opt/100%% $$HOME/\\"x\\"/hublet" --config "%h/my config.yaml" run' in lines
    assert 'ReadWritePaths="-%h/da ta"' in lines
    assert "Environment=HTTPS_PROXY=http://p%%20q:1" in lines
    assert not any(line.startswith("Requires=") for line in lines)


def test_without_ipv6_there_is_one_address() -> None:
    """One that can't be bound would fail the whole socket unit."""
    socket = systemd.render(Plan(program=Path("/x"), home=_HOME, ipv6=False))[systemd.SOCKET]
    assert [line for line in socket.splitlines() if line.startswith("Listen")] == ["ListenStream=127.0.0.1:3001"]


def test_the_property_list_has_documented_keys_and_types() -> None:
    """launchd.plist(5): restarted on failure only, in the background, sockets on both families, a private umask."""
    value = plistlib.loads(SHIPPED["launchd/dev.hublet.agent.plist"].encode())
    assert set(value) <= PLIST_KEYS - {"EnvironmentVariables"}
    assert value["Label"] == "dev.hublet.agent"
    assert value["ProgramArguments"] == ["/Users/you/.local/bin/hublet", "run"]
    assert value["KeepAlive"] == {"SuccessfulExit": False}
    assert value["ProcessType"] == "Background"
    assert value["LowPriorityIO"] is True
    assert value["Umask"] == 0o077
    assert value["StandardErrorPath"] == "/Users/you/Library/Logs/hublet.log"
    sockets = value["Sockets"]["Listeners"]
    assert [(one["SockNodeName"], one["SockFamily"]) for one in sockets] == [("127.0.0.1", "IPv4"), ("::1", "IPv6")]
    for one in sockets:
        assert set(one) <= SOCKET_KEYS
        assert (one["SockServiceName"], one["SockType"]) == ("3001", "stream")
    asked = Plan(program=Path("/x"), home=_MAC_HOME, environment={"HTTPS_PROXY": "http://p"}, socket=False)
    value = plistlib.loads(launchd.render(asked).encode())
    assert value["EnvironmentVariables"] == {"HTTPS_PROXY": "http://p"}
    assert "Sockets" not in value


def _program(place: Path) -> Path:
    script = place / "bin" / "hublet"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    "place",
    [
        ".cache/uv/archive-v0/abc", ".cache/pipx/1234", ".local/share/pipx/.cache/1234", ".local/pipx/.cache/1234",
        "uvcache/environments-v2/hublet",
    ],
)  # fmt: skip
def test_a_program_that_would_vanish_is_refused(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvx and `pipx run` keep theirs in caches."""
    monkeypatch.setattr("hublet.host.program._TEMPORARY", ())
    home = tmp_path / "home"
    _program(home / place)
    environment = {"HOME": str(home), "PATH": "", "UV_CACHE_DIR": str(home / "uvcache")}
    with pytest.raises(UsageError, match="would vanish"):
        find_program(environment, prefix=home / place)


def test_a_program_below_tmp_is_refused(tmp_path: Path) -> None:
    _program(tmp_path / "venv")
    with pytest.raises(UsageError, match="would vanish"):
        find_program({"HOME": "/home/you", "PATH": ""}, prefix=tmp_path / "venv")


def test_the_program_is_absolute_and_the_link_on_path_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pipx and uv make such a link, which lasts longer than the environment it points into. Another program's is not
    taken."""
    monkeypatch.setattr("hublet.host.program._TEMPORARY", ())
    home = tmp_path / "home"
    script = _program(home / ".local/share/uv/tools/hublet")
    assert find_program({"HOME": str(home), "PATH": ""}, prefix=script.parents[1]) == script
    link = home / ".local/bin/hublet"
    link.parent.mkdir()
    link.symlink_to(script)
    environment = {"HOME": str(home), "PATH": str(link.parent)}
    assert find_program(environment, prefix=script.parents[1]) == link
    link.unlink()
    _program(home / "elsewhere")
    assert find_program(environment | {"PATH": str(home / "elsewhere/bin")}, prefix=script.parents[1]) == script
    with pytest.raises(UsageError, match="no program"):
        find_program(environment, prefix=home / "nowhere")
