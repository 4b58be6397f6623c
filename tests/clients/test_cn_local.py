"""The real `cn` 1.5.45 with what hublet can't know ahead: local files, and blocks and agents named on the command line.

It unrolls these by itself: asks for each block, then for the secrets. Asked once with the Hub up, all is in the cache.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.faults import Hang
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.clients.cn import Cn
from tests.clients.conftest import up_then_down
from tests.clients.pretend_llm import PretendLlm
from tests.running import Home, RunningDaemon

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

BEARER = f"Bearer {USER_SECRETS['LLM_KEY']}"

MODEL = """\
name: Desk Model
version: 1.0.0
schema: v1
models:
  - name: Desk Model
    provider: openai
    model: pretend-2
    apiBase: {url}
    apiKey: ${{{{ secrets.LLM_KEY }}}}
"""
MCP = f"""\
name: One Tool
version: 1.0.0
schema: v1
mcpServers:
  - name: One Tool
    command: {sys.executable}
    args: [{Path(__file__).with_name("mcp_of_one_tool.py")}]
    env:
      TOKEN: ${{{{ secrets.GITHUB_TOKEN }}}}
"""
AGENT = """\
---
name: Desk Agent
model: acme/desk-model
tools: acme/one-tool-mcp
rules: acme/review-rules
---
Look at the desk.
"""

FILE_OF_BLOCKS = """\
name: Desk
version: 1.0.0
schema: v1
models:
  - uses: acme/desk-model
mcpServers:
  - uses: acme/one-tool-mcp
rules:
  - uses: acme/review-rules
  - The number is ${{ secrets.PIN }}.
"""
FILE_OF_ONE_MODEL = """\
name: Plain Desk
version: 1.0.0
schema: v1
models:
  - name: Plain Model
    provider: openai
    model: pretend-3
    apiBase: {url}
    apiKey: ${{{{ secrets.LLM_KEY }}}}
"""
PLAIN = ("--config", "./plain.yaml")
BLOCKS = ("--config", "./agent.yaml")
COMMANDS = {
    DEMO_KEY: [
        BLOCKS,
        (*PLAIN, "--rule", "acme/review-rules"),
        (*PLAIN, "--mcp", "acme/one-tool-mcp"),
        ("--model", "acme/desk-model"),
        (*PLAIN, "--prompt", "acme/changelog-prompt"),
        ("--agent", "acme/desk-agent"),
    ],
    None: [
        BLOCKS,
        ("--model", "acme/desk-model", "--rule", "acme/review-rules", "--mcp", "acme/one-tool-mcp"),
    ],
}
"""Each kind of block by itself with the key; without a key, all kinds at once."""


@dataclass(frozen=True)
class Run:
    """What one run came to: its output, and what the model was asked by it."""

    code: int
    output: str
    bearers: tuple[str | None, ...]
    model: str
    system: str
    prompt: str
    tools: dict[str, str]


@pytest.fixture
def cn(logged_in: Home, hub_server: HubServer, llm: PretendLlm, node_modules: Path) -> Cn:
    """Two local files are where it starts, and the Hub has the blocks which these and COMMANDS name."""
    with hub_server.hub.changing() as world:
        world.blocks["acme/desk-model"] = {"1.0.0": MODEL.format(url=llm.url)}
        world.blocks["acme/one-tool-mcp"] = {"1.0.0": MCP}
        world.blocks["acme/desk-agent"] = {"1.0.0": AGENT}
    (logged_in.path / "agent.yaml").write_text(FILE_OF_BLOCKS)
    (logged_in.path / "plain.yaml").write_text(FILE_OF_ONE_MODEL.format(url=llm.url))
    return Cn(logged_in, node_modules)


def run(cn: Cn, llm: PretendLlm, daemon: RunningDaemon, words: tuple[str, ...], key: str | None) -> Run:
    done = cn.headless(daemon.url, *words, key=key)
    assert done.returncode == 0, (words, done.stdout.decode(), done.stderr.decode())
    body: dict[str, Any] = llm.prompts[-1].body
    said = {each["role"]: json.dumps(each["content"]) for each in body["messages"]}
    tools = {each["function"]["name"]: each["function"]["description"] for each in body["tools"]}
    # Only the date may be another one.
    system = re.sub(r"Today's date: [\d-]+", "", said["system"])
    output = done.stdout.decode() + done.stderr.decode()
    return Run(done.returncode, output, tuple(llm.bearers()), body["model"], system, said["user"], tools)


def ask_all(cn: Cn, llm: PretendLlm, daemon: RunningDaemon, key: str | None) -> tuple[list[Run], dict[str, int]]:
    runs = [run(cn, llm, daemon, words, key) for words in COMMANDS[key]]
    return runs, requests(cn.home)


def test_each_kind_of_block_with_a_key(cn: Cn, logged_in: Home, hub_server: HubServer, llm: PretendLlm) -> None:
    """Each command line says the same, asks the model the same in the same words, and with the same real secret."""
    hub_server.hub.forget_requests()
    (up, _), (down, counted) = up_then_down(logged_in, hub_server, lambda daemon: ask_all(cn, llm, daemon, DEMO_KEY))

    assert down == up
    assert {each.output.strip() for each in up} == {llm.text}
    assert {each.bearers for each in up} == {(BEARER,)}
    assert [each.model for each in up] == [f"pretend-{n}" for n in (2, 3, 3, 2, 3, 2)]
    # What the blocks brought is there, with the values of secrets where a server and a rule refer to them.
    blocks, rule, mcp, model, prompt, agent = up
    for each in (blocks, rule, agent):
        assert "Look for missing tests first" in each.system
    for each in (blocks, mcp, agent):
        assert USER_SECRETS["GITHUB_TOKEN"] in each.tools["say_nothing"]
    assert f"The number is {USER_SECRETS['PIN']}." in blocks.system
    assert "Look for missing tests first" not in mcp.system
    assert "say_nothing" not in model.tools
    assert "Write one line for people" in prompt.prompt
    assert "Look at the desk." in agent.prompt
    # However often it was named, the Hub was asked for each thing once; offline nobody waited for it at all.
    for target in (
        "/registry/v1/acme/desk-model/latest",
        "/registry/v1/acme/one-tool-mcp/latest",
        "/v0/acme/desk-agent/latest/download",
        "/v0/acme/changelog-prompt/latest/download",
    ):
        assert asked(hub_server.hub, target) == 1, target
    names = list(secrets_of_files(hub_server.hub))
    assert names.count("//acme/desk-model/LLM_KEY") == 1
    assert names.count("//acme/one-tool-mcp/GITHUB_TOKEN") == 1
    assert counted["waited_for_hub"] == 0
    assert counted["answered_from_cache"] > len(up)


def test_anonymous(cn: Cn, logged_in: Home, hub_server: HubServer, llm: PretendLlm) -> None:
    """Without a key it says nothing of who it is. hublet knows the account, and answers the user's own process."""
    (up, _), (down, counted) = up_then_down(logged_in, hub_server, lambda daemon: ask_all(cn, llm, daemon, None))

    assert down == up
    assert {each.output.strip() for each in up} == {llm.text}
    assert {each.bearers for each in up} == {(BEARER,)}
    assert {each.model for each in up} == {"pretend-2"}
    for each in up:
        assert "Look for missing tests first" in each.system
        assert USER_SECRETS["GITHUB_TOKEN"] in each.tools["say_nothing"]
    assert counted["waited_for_hub"] == 0


def test_a_hub_that_hangs_holds_nobody_up(cn: Cn, logged_in: Home, hub_server: HubServer, llm: PretendLlm) -> None:
    """`cn` itself would wait for ever; what it has asked for before comes from the cache."""
    with logged_in.daemon() as daemon:
        up = run(cn, llm, daemon, BLOCKS, DEMO_KEY)
    with hub_server.hub.failing(Hang()), logged_in.daemon() as daemon:
        started = time.monotonic()
        assert run(cn, llm, daemon, BLOCKS, DEMO_KEY) == up
        assert time.monotonic() - started < 20
        assert requests(logged_in)["waited_for_hub"] == 0


def test_a_block_that_was_never_asked_for(cn: Cn, logged_in: Home, hub_server: HubServer, llm: PretendLlm) -> None:
    """Without the Hub it ends with an error, soon; the model is not asked with half a config and no key."""
    with logged_in.daemon():
        pass
    hub_server.stop()
    with logged_in.daemon() as daemon:
        failed = cn.headless(daemon.url, *BLOCKS, timeout=30)
    assert failed.returncode == 1
    assert llm.bearers() == []


def asked(hub: Hub, target: str) -> int:
    return sum(seen.target == target for seen in hub.requests)


def secrets_of_files(hub: Hub) -> Iterator[str]:
    """Each name of a secret that was asked for by a local file, once for each time."""
    for seen in hub.requests:
        if seen.target == "/ide/sync-secrets":
            for fqsn in json.loads(seen.body)["fqsns"]:
                slugs = [f"{each['ownerSlug']}/{each['packageSlug']}" for each in fqsn["packageSlugs"]]
                if slugs[0] == "/":
                    yield "/".join([*slugs, fqsn["secretName"]])


def requests(home: Home) -> dict[str, int]:
    done = home.hublet("status", "--json")
    assert done.returncode == 0, done.stderr.decode()
    counted: dict[str, int] = json.loads(done.stdout)["requests"]
    return counted
