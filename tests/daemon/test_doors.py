"""What holds at every door of a real daemon: its headers, running as root, and what it takes its settings from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from tests.daemon.asking import CACHED, Question, ask_all, message
from tests.running import Home, RunningDaemon, eventually


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[RunningDaemon]:
    home = Home.make(tmp_path_factory.mktemp("doors") / "home", hub.url)
    home.login(DEMO_KEY)
    with home.daemon() as daemon:
        eventually(lambda: " hublet: pass: " in daemon.log.read_text())
        yield daemon


def test_every_answer_carries_the_same_protection(daemon: RunningDaemon) -> None:
    """Hits, errors, refusals, open paths: no sniffing, no page of it, no other origin, no cache, never CORS. Icons
    alone may be shown elsewhere."""
    value = ask_all(daemon, [("GET", "/ide/list-organizations", None)])[0].json()
    assert isinstance(value, dict)
    icon = str(value["organizations"][0]["iconUrl"]).partition(str(daemon.port))[2]
    others: list[Question] = [
        ("GET", path, None) for path in ("/healthz", "/readyz", "/no/such", "/hublet/v1/proof/x", "/icons/none", icon)
    ]
    found = [*ask_all(daemon, [*CACHED, *others, ("OPTIONS", "/ide/policy", None), ("POST", "/ide/policy", b"{}")])]
    found += ask_all(daemon, CACHED, headers={"Origin": "https://evil.example"})
    assert {answer.status for answer in found} >= {200, 403, 404, 405}
    for answer in found:
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
        assert headers["cache-control"] == "no-store"
        own = "cross-origin" if headers["content-type"] == "image/png" else "same-origin"
        assert headers["cross-origin-resource-policy"] == own
        assert not [name for name in headers if name.startswith("access-control")]
    assert sum(answer.headers["content-type"] == "image/png" for answer in found) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to run as root")
def test_as_root_everything_needs_a_token_but_the_unix_socket(tmp_path: os.PathLike[str], hub: HubServer) -> None:
    """On loopback root's own processes can't be told from those of containers; the Unix socket's file is root's own."""
    from pathlib import Path

    from tests.daemon.test_api_socket import over

    home = Home(Path(tmp_path) / "home", 0)
    home.path.mkdir()
    home.configure(hub.url, settings={"serve": {"socket": "~/api/api.sock"}})
    home.login(DEMO_KEY)
    with home.daemon() as daemon:
        refused = ask_all(daemon, CACHED)
        assert {answer.status for answer in refused} == {401}
        assert "running as root" in message(refused[0])
        assert "hublet token" in message(refused[0])
        made = home.hublet("token", "--name", "box").stdout.decode().strip()
        answered = ask_all(daemon, CACHED, headers={"Authorization": f"Bearer {made}"})
        assert {answer.status for answer in answered} == {200}
        assert {status for status, _ in over(daemon, *CACHED)} == {200}


def test_no_env_file_of_the_working_directory_is_read(tmp_path: os.PathLike[str], hub: HubServer) -> None:
    """A repository that is cloned must not choose the Hub, the key or the config."""
    from pathlib import Path

    home = Home.make(Path(tmp_path) / "home", hub.url)
    lines = ["CONTINUE_API_KEY=con_canary", "HUBLET_CONFIG=/nowhere.yaml", "HTTPS_PROXY=http://127.0.0.1:1"]
    for name in (".env", ".env.local", "config.yaml.local"):
        (home.path / name).write_text("\n".join(lines))
    value = json.loads(home.hublet("status", "--json").stdout)
    assert (value["logged_in"], value["key_from_environment"]) == (False, False)
