"""A scan for canaries: after a login, passes and every question, no secret is anywhere but in memory and in answers.

Scanned are all bytes on disk, the log, and command line and environment of the daemon and of its worker while it runs.
Names of assistants and organizations are no secrets, but they are not on disk either: all that the Hub says is sealed.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY, USER_SECRETS, World
from hublet.demo.faults import Hang
from hublet.demo.server import HubServer
from tests.daemon.asking import EVERYTHING, ask_all, children, files_below, free_port
from tests.running import AS_ROOT, HUBLET, Home, RunningDaemon, eventually

SECRETS = [value for value in USER_SECRETS.values() if value.startswith("canary-user-")] + [DEMO_KEY]


def forms(text: str) -> set[bytes]:
    """A text as it may stand in a file: plain, in JSON without and with escapes, as UTF-16."""
    return {
        text.encode(),
        json.dumps(text)[1:-1].encode(),
        json.dumps(text, ensure_ascii=False)[1:-1].encode(),
        text.encode("utf-16-le"),
    }


def found(words: Iterable[str], places: dict[str, bytes]) -> list[tuple[str, str]]:
    """(word, place) of every word that is somewhere."""
    return [
        (word, place) for word in words for place, data in places.items() if any(form in data for form in forms(word))
    ]


def on_disk(home: Home) -> dict[str, bytes]:
    """Everything that hublet keeps: data, runtime and key directories, with the files' names."""
    kept = files_below(home.data, home.runtime, home.path / "key")
    return {str(path.relative_to(home.path)): data for path, data in kept.items()} | {
        "names of files": "\n".join(map(str, kept)).encode()
    }


def of_process(pid: int) -> dict[str, bytes]:
    """Command line and environment; hublet closes the latter to everybody but root, so only root's tests can look."""
    names = ("cmdline", "environ") if AS_ROOT else ("cmdline",)
    return {f"{name} of {pid}": Path(f"/proc/{pid}/{name}").read_bytes() for name in names}


def names_in(world: World) -> list[str]:
    """Every slug, title and id by which an assistant or an organization is known; short ones only with their owner."""
    words = [*world.sources, *world.organizations]
    for slug, source in world.sources.items():
        words += [slug.partition("/")[2], source.partition("name: ")[2].partition("\n")[0].strip("\"' ")]
    for each in world.organizations.values():
        words += [each.name, each.slug]
    return sorted({word for word in words if len(word) > 4})


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[RunningDaemon]:
    """A daemon that has had a life: a login, passes, every question asked, a secret rotated, a client refused."""
    place = tmp_path_factory.mktemp("lived")
    place.chmod(0o755)
    home = Home.make(place / "home", hub.url, port=free_port(), settings={"log": {"level": "debug"}})
    with home.daemon() as daemon:
        home.login(DEMO_KEY)
        asked = [*EVERYTHING, ("GET", "/ide/list-assistants?alwaysUseProxy=true", None), ("GET", "/no/such/path", None)]
        heard = b"".join(answer.body for answer in ask_all(daemon, asked))
        # The proof that there is something to find: these very secrets and names were in the answers.
        assert USER_SECRETS["OPENAI_API_KEY"].encode() in heard
        assert b"rust-smith" in heard
        hub.hub.set_secret("OPENAI_API_KEY", "canary-user-openai-rotated")
        hub.hub.set_policy(None)
        ask_all(daemon, [("GET", "/ide/list-assistants", None)], headers={"Authorization": f"Bearer {DEMO_KEY}"})
        ask_all(daemon, [("GET", "/ide/list-assistants", None)], headers={"Origin": "https://dana.example"})
        assert home.hublet("sync").returncode == 0
        assert home.hublet("status").returncode == 0
        yield daemon


def all_secrets() -> list[str]:
    return [*SECRETS, "canary-user-openai-rotated"]


@contextmanager
def working(daemon: RunningDaemon, hub: HubServer) -> Iterator[int]:
    """The pid of a worker in the middle of a pass: it waits for a Hub that hangs."""
    with hub.hub.failing(Hang(), "/ide/list-assistants"):
        hub.hub.forget_requests()
        command = daemon.home.command(*HUBLET, "sync")
        with subprocess.Popen(command, env=daemon.home.env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            eventually(lambda: hub.hub.count("/ide/list-assistants"))
            (worker,) = children(daemon.process.pid)
            try:
                yield worker
            finally:
                hub.hub.heal()
                hub.restart()  # ends the connections that hang


def test_the_scan_finds_what_is_there(lived: RunningDaemon) -> None:
    """Every kind of place is looked into: each gives up a word that stands in it."""
    disk = on_disk(lived.home)
    assert found(["SQLite format 3"], disk) == [("SQLite format 3", "data/hublet.sqlite3")]
    assert found(["not-there"], disk) == []
    assert found(["CACHEDIR.TAG"], disk) == [("CACHEDIR.TAG", "names of files")]
    assert "key/kek" in disk
    assert found(["Signature: 8a477f597d28d172789f06886806bc55"], disk)
    assert found([str(lived.process.pid)], {"log and lock": disk["data/hublet.lock"]})
    assert found(["listening on"], {"log": lived.log.read_bytes()})
    process = of_process(lived.process.pid)
    places = [place.partition(" ")[0] for _, place in found(["-m\0hublet", "HUBLET_CONFIG"], process)]
    assert places == (["cmdline", "environ"] if AS_ROOT else ["cmdline"])
    assert found(['canary "quoted" schlüssel'], {"json": rb'{"value":"canary \"quoted\" schl\u00fcssel"}'})


def test_no_secret_is_on_disk_or_in_the_log(lived: RunningDaemon) -> None:
    assert len(SECRETS) == len(USER_SECRETS)  # all but the PIN, which is too short to look for, and the key
    places = on_disk(lived.home) | {"log": lived.log.read_bytes()}
    assert len(places["data/hublet.sqlite3"]) > 100_000  # so much there is to find something in
    assert found(all_secrets(), places) == []


def test_no_name_of_an_assistant_or_an_organization_is_on_disk(lived: RunningDaemon, hub: HubServer) -> None:
    with hub.hub.changing() as world:
        words = names_in(world)
    assert {
        "dana/rust-smith",
        "Rust Smith",
        "rust-smith",
        "org_acme",
        "Acme Corp",
        "Initech Ünïversal 株式会社 🏭",
    } <= set(words)
    assert found(words, on_disk(lived.home)) == []


def test_no_secret_is_on_a_command_line_or_in_an_environment(lived: RunningDaemon, hub: HubServer) -> None:
    """Not the daemon's, and not that of the worker, which has the key: it came on a pipe."""
    with working(lived, hub) as worker:
        places = of_process(lived.process.pid) | of_process(worker)
        assert found(["hublet.worker"], places) == [("hublet.worker", f"cmdline of {worker}")]
        assert found(all_secrets(), places) == []
        with hub.hub.changing() as world:
            assert found(names_in(world), of_process(worker)) == []


def test_a_key_of_the_environment_is_not_handed_to_the_worker(
    lived: RunningDaemon, hub: HubServer, tmp_path: Path
) -> None:
    """The daemon has it in its environment, which is said; nobody else gets it, and the disk does not either."""
    home = Home.make(tmp_path / "home", hub.url)
    with hub.hub.failing(Hang(), "/ide/list-assistants"):
        hub.hub.forget_requests()
        with home.daemon(env={"CONTINUE_API_KEY": DEMO_KEY}) as daemon:
            eventually(lambda: hub.hub.count("/ide/list-assistants"))
            (worker,) = children(daemon.process.pid)
            if AS_ROOT:
                ours = of_process(daemon.process.pid)
                assert found([DEMO_KEY], ours) == [(DEMO_KEY, f"environ of {daemon.process.pid}")]
            assert found([DEMO_KEY], of_process(worker)) == []
            assert found([DEMO_KEY], on_disk(home) | {"log": daemon.log.read_bytes()}) == []


def test_everything_is_private(lived: RunningDaemon) -> None:
    """Directories 0700, files and sockets 0600, all the user's own."""
    seen = 0
    for place in (lived.home.data, lived.home.runtime, lived.home.path / "key"):
        for folder, _, names in os.walk(place):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                info = path.lstat()
                assert stat.S_IMODE(info.st_mode) == (0o700 if stat.S_ISDIR(info.st_mode) else 0o600), path
                assert info.st_uid == lived.home.path.stat().st_uid
                seen += 1
    assert seen >= 7


def test_files_are_private_from_their_first_byte(tmp_path: Path, hub: HubServer) -> None:
    """With a umask that hides nothing, and looked at all the time while they are made."""
    home = Home.make(tmp_path / "home", hub.url)
    seen: dict[str, set[int]] = {}
    command = ["sh", "-c", 'umask 000; exec "$0" "$@"', *HUBLET, "login"]
    with subprocess.Popen(
        home.command(*command), env=home.env(), cwd=home.path, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        process.stdin.write(DEMO_KEY.encode())
        process.stdin.close()
        while process.poll() is None:
            for place in (home.data, home.path / "key"):
                for folder, folders, names in os.walk(place):
                    for name in (".", *folders, *names):
                        path = Path(folder, name)
                        try:
                            mode = path.lstat().st_mode
                        except OSError:  # gone meanwhile
                            continue
                        seen.setdefault(name, set()).add(stat.S_IMODE(mode) & 0o077)
            time.sleep(0.001)
    assert process.returncode == 0
    assert {"hublet.sqlite3", "kek"} <= seen.keys()
    assert all(bits == {0} for bits in seen.values()), seen
