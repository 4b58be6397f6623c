"""`hublet mcp` with the official client and a real daemon whose Hub is gone: it lists and reads everything, and
tells no secret, whatever is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from mcp import Client, MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from hublet.core.instructions import instructions
from hublet.demo.data import DEMO_KEY, ORGANIZATION_SECRETS, USER_SECRETS
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from hublet.mcp.calling import OFFERED
from tests.daemon.test_secrets_at_rest import found
from tests.mcp.speaking import ERAS, all_prompts, all_resources, run, said, speaking, text_of
from tests.running import Home, RunningDaemon
from tests.test_readme import ROOT

PASTED = """\
name: Pasted
version: 1.0.0
schema: v1
# the old key was canary-pasted-in-a-comment
models:
  - name: Direct
    provider: openai
    model: gpt-4o
    apiKey: canary-pasted-as-a-key
rules:
  - Say nothing.
"""
CANARIES = [
    DEMO_KEY,
    *(value for value in USER_SECRETS.values() if len(value) > 8),
    *(value for each in ORGANIZATION_SECRETS.values() for value in each.values()),
    "canary-pasted-in-a-comment",
    "canary-pasted-as-a-key",
]
ARGUMENTS: dict[str, dict[str, Any]] = {
    "get_assistant": {"assistant": "dana/data-desk"},
    "search_instructions": {"query": "password READ-only"},
    "list_assistants": {"organization": "acme", "limit": 2},
}
"""What each tool is called with, if with anything."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """One that has synced, and whose Hub has gone since."""
    place = tmp_path_factory.mktemp("mcp")
    place.chmod(0o755)
    with HubServer(Hub()) as server:
        server.hub.put_assistant("dana/pasted", PASTED)
        home = Home.make(place / "home", server.url)
        home.login(DEMO_KEY)
        with home.daemon() as running:
            assert home.hublet("sync").returncode == 0
            server.stop()
            yield running


async def everything(client: Client) -> dict[str, str]:
    """Each resource, prompt and tool by name, read."""
    texts = {}
    for resource in await all_resources(client):
        texts[resource.uri] = text_of(await client.read_resource(resource.uri))
    for prompt in await all_prompts(client):
        arguments = {argument.name: "filled in" for argument in prompt.arguments or ()}
        texts[prompt.name] = text_of(await client.get_prompt(prompt.name, arguments))
    for tool in (await client.list_tools()).tools:
        result = await client.call_tool(tool.name, ARGUMENTS.get(tool.name, {}))
        assert not result.is_error, result
        texts[tool.name] = text_of(result)
        assert json.loads(texts[tool.name]) == result.structured_content
    return texts


@pytest.mark.parametrize("era", ERAS)
def test_everything_can_be_listed_and_read(daemon: RunningDaemon, era: str) -> None:
    """And is what the cache holds: each resource what `hublet show` prints, each prompt the words of its assistant."""

    async def conversation() -> dict[str, str]:
        async with speaking(daemon.home, era) as client:
            return await everything(client)

    texts = run(conversation())
    status = json.loads(daemon.home.hublet("status", "--json").stdout)
    slugs = {one["slug"] for scope in status["scopes"] for one in scope["assistants"] if not scope["proxied"]}
    assert {uri.removeprefix("hublet://") for uri in texts if uri.startswith("hublet://")} == slugs
    for slug in ("dana/night-owl", "dana/big-rulebook", "acme/cloud-platform", "dana/pasted"):
        shown = daemon.home.hublet("show", slug).stdout.decode()
        assert texts[f"hublet://{slug}"] == shown
        held = instructions(yaml.safe_load(shown))
        mine = [text for name, text in texts.items() if name.startswith(f"{slug}/")]
        assert sorted(mine) == sorted(each.text for each in held)
    assert texts["dana/polyglot/翻訳"] == "次の文を日本語に訳してください: filled in"
    assert json.loads(texts["list_assistants"])["total"] == 5
    (match,) = json.loads(texts["search_instructions"])["matches"]
    assert match["assistant"] == "dana/data-desk"
    assert "${{ secrets.PG_PASSWORD }}" in texts[match["prompt"]]
    assert json.loads(texts["read_policy"])["policy"]["allowAnonymousTelemetry"] is False
    assert "could not load" in texts["hublet://dana/broken"]


def test_every_tool_only_reads_and_takes_nothing_unknown() -> None:
    for offered in OFFERED.values():
        tool = offered.tool
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert not tool.annotations.destructive_hint
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema is not None


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no_such_tool", {}, "there is no tool no_such_tool"),
    ("read_policy", {"x": 1}, "read_policy has no argument x; it has: none"),
    ("get_assistant", {}, "get_assistant needs the argument assistant"),
    ("get_assistant", {"assistant": 5}, "assistant does not fit, it has to be of type string"),
    ("get_assistant", {"assistant": "no-slash"}, "assistant does not fit, it has to be of pattern"),
    ("list_assistants", {"limit": True}, "limit does not fit, it has to be of type integer"),
    ("list_assistants", {"limit": 501}, "limit does not fit, it has to be of maximum 500"),
    ("search_instructions", {"query": " \n"}, "query does not fit, it has to be of pattern"),
    ("search_instructions", {"query": "x" * 201}, "query does not fit, it has to be of maxLength 200"),
    ("search_instructions", {"query": "x", "kind": "model"}, "kind does not fit, it has to be of enum"),
]


@pytest.mark.parametrize("era", ERAS)
def test_what_is_unknown_is_the_protocols_own_error(daemon: RunningDaemon, era: str) -> None:
    """With a sentence; and the connection goes on."""

    async def conversation() -> None:
        async with speaking(daemon.home, era) as client:
            for uri in (
                "hublet://no/where",
                "hublet://dana",
                "file:///etc/passwd",
                "hublet://dana/../x",
                "hublet://%zz/%",
            ):
                with pytest.raises(MCPError, match="there is no resource") as missing:
                    await client.read_resource(uri)
                assert missing.value.error.code == (-32002 if era == "legacy" else INVALID_PARAMS)
            for name, arguments, sentence in WRONG:
                with pytest.raises(MCPError) as refused:
                    await client.call_tool(name, arguments)
                assert refused.value.error.code == INVALID_PARAMS
                assert sentence in refused.value.error.message
            for name, filled in (("dana/night-owl/none", {}), ("dana/night-owl/standup", {"x": "1"})):
                with pytest.raises(MCPError, match=r"there is no prompt|has no argument x") as refused:
                    await client.get_prompt(name, filled)
                assert refused.value.error.code == INVALID_PARAMS
            with pytest.raises(MCPError, match="no cursor"):
                await client.list_prompts(cursor="nonsense")
            # What there is not of what is well asked for is a result, for the model to read.
            for arguments in ({"assistant": "no/body"}, {"assistant": "dana/quiet", "organization": "nobody"}):
                result = await client.call_tool("get_assistant", arguments)
                assert result.is_error
                assert "there is no" in text_of(result)
            assert len((await client.list_resources()).resources) > 10

    run(conversation())


def test_the_address_is_completed(daemon: RunningDaemon) -> None:
    async def conversation() -> None:
        from mcp_types import ResourceTemplateReference

        async with speaking(daemon.home) as client:
            (template,) = (await client.list_resource_templates()).resource_templates
            ref = ResourceTemplateReference(type="ref/resource", uri=template.uri_template)
            owners = await client.complete(ref, {"name": "owner", "value": "da"})
            assert owners.completion.values == ["dana"]
            names = await client.complete(ref, {"name": "package", "value": "n"}, {"owner": "dana"})
            assert names.completion.values == ["night-owl"]

    run(conversation())


def test_no_secret_is_said_and_nothing_is_changed(daemon: RunningDaemon) -> None:
    """Not in all that the tests above have had said, and not while the cache is locked; standard error is silent."""
    home = daemon.home

    async def conversation() -> dict[str, str]:
        async with speaking(home) as client:
            return await everything(client)

    before = run(conversation())
    assert home.hublet("lock").returncode == 0
    locked = run(conversation())
    assert locked.keys() == before.keys()
    assert {name for name in locked if locked[name] != before[name]} <= {"read_status", "read_policy"}
    assert json.loads(locked["read_status"])["state"] == "locked"
    places = said(home)
    assert len(places["said-out"]) > 200_000, "so much there is to find something in"
    assert found(["secrets.PG_PASSWORD", "Say nothing."], {"said-out": places["said-out"]}), "it is looked at as it is"
    assert found(CANARIES, places) == []
    assert places["said-err"] == b""
    audit = home.hublet("audit", "--json").stdout.decode()
    asked = {json.loads(line)["what"] for line in audit.splitlines()}
    # The commands of the tests besides: `login`, `sync`, `lock`, and `show`, which is called log.
    assert asked - {"log"} == {"assistants", "policy", "status", "events", "sync", "lock", "login"}


def test_nothing_but_the_protocol_is_on_standard_output_and_no_content_on_standard_error(daemon: RunningDaemon) -> None:
    """Whatever comes in: no JSON, no request, a bad one."""
    lines = [
        b"canary-of-the-client {",
        b'{"canary-of-the-client": 1}',
        b'{"jsonrpc":"2.0","id":1,"method":"canary"}',
        b"\xff",
    ]
    done = daemon.home.hublet("mcp", input=b"\n".join(lines) + b"\n")
    assert done.returncode == 0
    for line in done.stdout.splitlines():
        assert json.loads(line)["jsonrpc"] == "2.0"
    assert b"canary" not in done.stderr
    assert all(line.startswith(b"hublet mcp: ") for line in done.stderr.splitlines()), done.stderr


def test_while_the_daemon_is_down_each_answer_says_so(logged_in: Home) -> None:
    """And what to do; when it is back, so are the answers, over the same connection."""

    async def conversation() -> None:
        async with speaking(logged_in) as client:
            with pytest.raises(MCPError, match=r"no hublet is running.*`hublet service start`") as down:
                await client.list_resources()
            assert down.value.error.code == INTERNAL_ERROR
            for ask in (client.list_prompts(), client.read_resource("hublet://dana/quiet"), client.get_prompt("x")):
                with pytest.raises(MCPError, match="no hublet is running"):
                    await ask
            result = await client.call_tool("read_status", {})
            assert result.is_error
            assert "`hublet run` starts it" in text_of(result)
            assert len((await client.list_tools()).tools) == len(OFFERED)
            with logged_in.daemon():
                assert (await client.list_resources()).resources
                assert not (await client.call_tool("read_status", {})).is_error
            with pytest.raises(MCPError, match="no hublet is running"):
                await client.list_resources()

    run(conversation())


def test_without_the_extra_it_says_how_to_get_it(home: Home) -> None:
    code = "import sys; sys.modules['mcp'] = None; sys.argv = ['hublet', 'mcp']; import hublet.cli.main as m; m.main()"
    done = home.python("-c", code)
    assert done.returncode == 16
    assert done.stdout == b""
    assert b"the Python package mcp" in done.stderr
    assert b"hint: pip install 'hublet[mcp]'" in done.stderr


def test_the_readme_has_a_line_for_each_client() -> None:
    """Which starts this command and nothing else."""
    text = (ROOT / "README.md").read_text()
    lines = dict(re.findall(r"^- (Continue|Claude Desktop|Cursor|VS Code), `[^`]+`: `(.+)`$", text, re.MULTILINE))
    assert lines.keys() == {"Continue", "Claude Desktop", "Cursor", "VS Code"}
    (listed,) = yaml.safe_load(lines.pop("Continue"))["mcpServers"]
    found = [listed]
    for client, line in lines.items():
        servers = json.loads(line)["servers" if client == "VS Code" else "mcpServers"]
        found.append(servers["hublet"])
    assert {(one["command"], *one["args"]) for one in found} == {("hublet", "mcp")}
