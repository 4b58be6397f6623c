"""A folder as the Hub, through the real daemon: no key, no network, and an edited file is a new answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from tests.running import Home, RunningDaemon

pytestmark = pytest.mark.slow

CHAT = """\
name: Team Chat
version: 1.0.0
schema: v1
models:
  - uses: acme/model
    with:
      TEAM: platform
rules:
  - uses: acme/style
  - Be brief.
mcpServers:
  - name: Jira
    command: uvx
    args: [--token, "${{ secrets.JIRA_TOKEN }}"]
"""
MODEL = """\
name: Model
version: 1.0.0
schema: v1
models:
  - name: House
    provider: openai
    model: house-1
    apiKey: ${{ secrets.HOUSE_KEY }}
    requestOptions: {headers: {X-Team: "${{ inputs.TEAM }}"}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a git repository has it."""
    place = tmp_path / "team hub"
    for name, text in {
        ".git/HEAD": "ref: refs/heads/main\n",
        "README.md": "How we work.\n",
        "acme/chat.yaml": CHAT,
        "acme/model.yaml": MODEL,
        "acme/style.md": "---\nname: Style\n---\nShort sentences.\n",
        "acme/broken.yaml": "name: Broken\nmodels: [\n",
    }.items():
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return place


@pytest.fixture
def home(tmp_path: Path, folder: Path) -> Home:
    return Home.make(tmp_path / "home", folder.as_uri())


def assistants(daemon: RunningDaemon) -> dict[str, Any]:
    answer = daemon.ask("GET", "/ide/list-assistants")
    listed = answer.json() if answer.status == 200 else []
    assert isinstance(listed, list)
    return {f"{item['ownerSlug']}/{item['packageSlug']}": item["configResult"] for item in listed}


def until(holds: Callable[[], object]) -> None:
    for _ in range(200):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to be")


def test_a_folder_is_served_as_a_hub_and_followed(home: Home, folder: Path) -> None:
    """Blocks are put in place, what can't be read says so, and a changed file is there soon after, without a sync."""
    with home.daemon() as daemon:
        until(lambda: assistants(daemon))
        found = assistants(daemon)
        assert list(found) == ["acme/broken", "acme/chat"]
        config = found["acme/chat"]["config"]
        assert config["models"][0]["requestOptions"] == {"headers": {"X-Team": "platform"}}
        assert config["models"][0]["apiKey"] == "${{ secrets.HOUSE_KEY }}"
        assert config["rules"] == [{"name": "Style", "rule": "Short sentences."}, "Be brief."]
        assert found["acme/broken"]["errors"][0]["fatal"] is True
        status = json.loads(home.hublet("status", "--json").stdout)
        assert (status["state"], status["hub"]) == ("ok", folder.as_uri())
        (folder / "acme/chat.yaml").write_text(CHAT.replace("Be brief.", "Be kind."))
        until(lambda: assistants(daemon)["acme/chat"]["config"]["rules"][1] == "Be kind.")
        assert daemon.ask("POST", "/model-proxy/v1/chat/completions", b"{}").status in (401, 503)
        done = home.hublet("login", input=b"con_x")
        assert done.returncode != 0
        assert b"the Hub is a folder" in done.stderr


def test_the_users_own_values_are_put_in_and_are_in_no_file(home: Home, folder: Path) -> None:
    """`secrets.override` is where a folder's secrets come from: in configs and in sync-secrets."""
    values = home.path / "values.env"
    values.touch(mode=0o600)
    values.write_text("HOUSE_KEY=sk-house\nJIRA_TOKEN=jira-1\n")
    home.configure(folder.as_uri(), settings={"secrets": {"override": values}})
    with home.daemon() as daemon:
        until(lambda: assistants(daemon))
        config = assistants(daemon)["acme/chat"]["config"]
        assert config["models"][0]["apiKey"] == "sk-house"
        assert config["models"][0]["provider"] == "openai"
        assert config["mcpServers"][0]["args"] == ["--token", "jira-1"]
        fqsn = {"packageSlugs": [{"ownerSlug": "acme", "packageSlug": "chat"}], "secretName": "JIRA_TOKEN"}
        answer = daemon.ask("POST", "/ide/sync-secrets", json.dumps({"fqsns": [fqsn], "orgScopeId": None}).encode())
        assert answer.json()[0]["value"] == "jira-1"  # type: ignore[index]
        proxied = daemon.ask("GET", "/ide/list-assistants?alwaysUseProxy=true")
        assert b"sk-house" not in proxied.body
        assert b"jira-1" not in proxied.body
        assert home.hublet("lock").returncode == 0
        locked = assistants(daemon)["acme/chat"]["config"]
        assert locked["models"][0]["apiKey"] == "${{ secrets.HOUSE_KEY }}"
        assert locked["mcpServers"][0]["args"] == ["--token", "${{ secrets.JIRA_TOKEN }}"]


def test_a_folder_that_is_gone_is_a_hub_that_is_away(home: Home, folder: Path) -> None:
    """What was served goes on being served, also after a restart."""
    with home.daemon() as daemon:
        until(lambda: assistants(daemon))
        before = assistants(daemon)
    folder.rename(folder.with_name("elsewhere"))
    with home.daemon() as daemon:
        until(lambda: json.loads(home.hublet("status", "--json").stdout)["state"] == "offline")
        assert assistants(daemon) == before


def test_the_hub_can_become_a_folder_and_a_hub_again_while_it_runs(
    tmp_path: Path, folder: Path, hub_server: HubServer
) -> None:
    """What the one had and the other lacks is held, and served until the user agrees; the key goes to its own Hub."""
    home = Home.make(tmp_path / "home", hub_server.url)
    home.login(DEMO_KEY)
    with home.daemon() as daemon:
        until(lambda: "dana/night-owl" in assistants(daemon))
        home.configure(folder.as_uri())
        until(lambda: json.loads(home.hublet("status", "--json").stdout)["hub"] == folder.as_uri())
        assert home.hublet("sync").returncode == 0
        until(lambda: "acme/chat" in assistants(daemon))
        assert "dana/night-owl" in assistants(daemon)
        held = home.hublet("quarantine").stdout.decode()
        assert "personal" in held
        home.configure(hub_server.url)
        until(lambda: json.loads(home.hublet("status", "--json").stdout)["hub"] == hub_server.url)
        before = len(hub_server.hub.requests)
        done = home.hublet("sync")
        assert done.returncode == 0, done.stderr.decode()
        assert len(hub_server.hub.requests) > before
        assert "dana/night-owl" in assistants(daemon)
