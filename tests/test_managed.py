"""The administrator's settings: no user's config weakens them, and hublet does not start with a file that can't be
trusted."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hublet.config.loading import Config, load_config, parse_config
from hublet.config.managed import MANAGED_FILE, Managed, load_managed
from hublet.core.errors import ConfigError, HubletError
from hublet.serve.admin import Admin
from hublet.serve.service import Service
from tests.in_process import in_process
from tests.running import THROWAWAY_UID, Home

OURS = os.getuid()
"""Stands for root's uid where the tests don't run as root."""

FULL = """\
hub: {url: "https://hub.corp.example"}
serve:
  access: token
  passthrough: listed
  passthrough_as_account: false
secrets: {max_stale: 1d}
unlock_offline: false
export: false
"""


def managed(tmp_path: Path, text: str = FULL) -> Managed:
    path = tmp_path / "managed.yaml"
    path.write_text(text)
    path.chmod(0o644)
    tmp_path.chmod(0o755)
    return load_managed(path, owner=OURS)


def problems(text: str, by: Managed) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.yaml", by)
    return list(caught.value.problems)


def value(config: Config, key: str) -> object:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


def test_the_place_is_fixed_and_no_file_manages_nothing(tmp_path: Path) -> None:
    """Neither an environment variable nor the user's config can name another."""
    assert Path("/etc/hublet/managed.yaml") == MANAGED_FILE
    nothing = load_managed(tmp_path / "none.yaml", owner=OURS)
    assert (nothing.values, nothing.unlock_offline, nothing.export, nothing.described()) == ({}, True, True, ())
    assert load_config(None, nothing) == parse_config("", "c")


def test_what_the_user_leaves_out_is_managed(tmp_path: Path) -> None:
    """Unless the default is stricter than what is managed."""
    config = load_config(None, managed(tmp_path))
    assert config.hub.url == "https://hub.corp.example"
    assert (config.serve.access, config.serve.passthrough, config.secrets.max_stale) == ("token", "listed", 86400)
    loose = managed(tmp_path, "serve: {access: either, passthrough: all}\nsecrets: {max_stale: 30d}\n")
    config = load_config(None, loose)
    assert (config.serve.passthrough, config.secrets.max_stale) == ("listed", 7 * 86400)


TABLE = [
    ("hub.url", "https://hub.corp.example", ["https://hub.corp.example", "https://hub.corp.example:443/x"],
     ["https://api.continue.dev", "http://localhost:1"]),
    ("serve.access", "either", ["either", "same-user", "token", "both"], []),
    ("serve.access", "same-user", ["same-user", "both"], ["either", "token"]),
    ("serve.access", "token", ["token", "both"], ["either", "same-user"]),
    ("serve.access", "both", ["both"], ["either", "same-user", "token"]),
    ("serve.passthrough", "all", ["all", "listed", "none"], []),
    ("serve.passthrough", "listed", ["listed", "none"], ["all"]),
    ("serve.passthrough", "none", ["none"], ["all", "listed"]),
    ("serve.passthrough_as_account", "true", ["true", "false"], []),
    ("serve.passthrough_as_account", "false", ["false"], ["true"]),
    ("secrets.max_stale", "1d", ["0s", "1h", "24h"], ["25h", "7d"]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "said", "fine", "weaker"), TABLE)
def test_each_key_has_its_own_order(tmp_path: Path, key: str, said: str, fine: list[str], weaker: list[str]) -> None:
    """A value that is as strict or stricter is taken; any other is an error with its line that names the managed
    file."""
    section, _, name = key.partition(".")
    by = managed(tmp_path, f"{section}:\n  {name}: {said}\n")
    for text in fine:
        source = f"{section}:\n  {name}: {text}\n"
        assert value(parse_config(source, "c.yaml", by), key) == value(parse_config(source, "c.yaml"), key)
    for text in weaker:
        (problem,) = problems(f"{section}:\n  {name}: {text}\n", by)
        assert problem.startswith(f"c.yaml:2: {key}: is managed: {by.file} says {said}")


def test_all_weaker_values_are_told_at_once(tmp_path: Path) -> None:
    """Together with everything else that is wrong."""
    text = "hub: {url: http://localhost:1}\nserve: {access: either, passthrough: all, port: x}\n"
    assert [problem.split(": ")[1] for problem in problems(text, managed(tmp_path))] == [
        "hub.url", "serve.access", "serve.passthrough", "serve.port",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("serve: {port: 1}", ":1: serve.port: unknown key: it can't be managed"),
        ("unlock_offline: no", ":1: unlock_offline: must be true or false"),
        ("serve: {access: open}", ":1: serve.access: must be"),
        ("secrets: [a]", ":1: secrets: must hold keys and single values"),
        ("hello", ":1: must hold keys"),
        ("{", ":1: this is not YAML"),
    ],
)
def test_a_managed_file_with_a_mistake_is_a_problem(tmp_path: Path, text: str, what: str) -> None:
    """It is not read as if it said nothing."""
    with pytest.raises(ConfigError) as caught:
        managed(tmp_path, text)
    assert caught.value.problems[0].startswith(f"{tmp_path}/managed.yaml{what}")


def test_a_managed_file_that_others_could_have_written_is_refused(tmp_path: Path) -> None:
    """Because of its owner, its mode or its folder's mode; and so is a link, a folder, and what can't be read."""
    managed(tmp_path)
    path = tmp_path / "managed.yaml"

    def refused(match: str, owner: int = OURS, file: Path = path) -> None:
        with pytest.raises(ConfigError, match=match) as caught:
            load_managed(file, owner=owner)
        assert "administrator" in caught.value.hint

    refused("does not belong to root", OURS + 1)
    for mode in (0o664, 0o646, 0o666):
        path.chmod(mode)
        refused("can be changed by others")
    path.chmod(0o644)
    tmp_path.chmod(0o777)
    refused("in a folder that can be changed by others")
    tmp_path.chmod(0o755)
    (tmp_path / "link.yaml").symlink_to(path)
    refused("can't be read", file=tmp_path / "link.yaml")
    refused("not a regular file|can't be read", file=tmp_path)
    path.write_bytes(b"\xff")
    refused("not UTF-8")


def test_unlocking_on_ones_own_can_be_forbidden(tmp_path: Path) -> None:
    """Whoever asks for it, and although the store is there to be unlocked; the file is read when it is asked for."""
    path = managed(tmp_path).file
    service = Service(load_config(None, Managed()), managed_file=path, managed_owner=OURS)
    with pytest.raises(HubletError, match=r"not allowed on this machine: .*managed\.yaml"):
        asyncio.run(Admin(service).handle("POST", ("unlock",), b""))
    managed(tmp_path, "unlock_offline: true\n")
    with pytest.raises(HubletError, match="hublet is starting"):
        asyncio.run(Admin(service).handle("POST", ("unlock",), b""))
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="can be changed by others"):
        asyncio.run(Admin(service).handle("POST", ("unlock",), b""))


def test_a_lock_of_ones_own_is_lifted_by_the_hub_where_the_hub_must_agree(tmp_path: Path) -> None:
    """Not at once: the user may have locked what the Hub had locked. Nor is there no way out."""

    async def go() -> None:
        async with in_process(tmp_path) as it:
            it.service.managed_file, it.service.managed_owner = managed(tmp_path).file, OURS
            await it.log_in()
            with pytest.raises(HubletError, match="not allowed on this machine"):
                await Admin(it.service).handle("POST", ("unlock",), b"")
            await it.sync.lock()
            await it.sync.run_pass(force=True)
            assert it.sync.snapshot.locked
            done = await Admin(it.service).handle("POST", ("unlock",), b"")
            assert done.body == b'{"locked":true}'
            it.network.up = False
            await it.sync.run_pass(force=True)
            assert it.sync.snapshot.locked
            it.network.up = True
            await it.sync.run_pass(force=True)
            assert not it.sync.snapshot.locked

    asyncio.run(go())


COMMAND = """
import sys
from pathlib import Path
from hublet.config import loading as config, managed
from hublet.cli.main import main
path = Path(sys.argv.pop(1))
def load(_=None, *, owner=0):
    return managed.Managed(path) if not path.exists() else real(path, owner=path.stat().st_uid)
real = managed.load_managed
config.load_managed = managed.load_managed = load
main()
"""


def test_config_check_says_what_is_managed(tmp_path: Path) -> None:
    """And with a weaker config, what is wrong; the variables of the environment change nothing."""
    home = Home.make(tmp_path / "home", "https://hub.corp.example")
    settings = tmp_path / "etc"
    settings.mkdir()
    by = managed(settings)

    def check(**env: str) -> subprocess.CompletedProcess[bytes]:
        words = [sys.executable, "-c", COMMAND, str(by.file), "config", "check"]
        return home.start_and_wait(words, env=env)

    done = check(HUBLET_MANAGED="/dev/null")
    assert done.returncode == 0, done.stderr.decode()
    said = done.stdout.decode()
    for line in (*by.described(), "serve.access: token", "unlock_offline: false", "export: false"):
        assert f"managed by {by.file}: {line}" in said
    home.configure("https://elsewhere.example")
    done = check()
    assert done.returncode == 2
    assert f"hub.url: is managed: {by.file} says https://hub.corp.example" in done.stderr.decode()
    assert home.uid == THROWAWAY_UID
