"""`hublet mcp` as the official inspector's command line uses it: everything is listed and read with the Hub gone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from tests.daemon.test_secrets_at_rest import found
from tests.mcp.test_client import CANARIES, PASTED
from tests.running import HUBLET, Home

pytestmark = [pytest.mark.clients, pytest.mark.timeout(400)]

GIVEN = {"get_assistant": "assistant=dana/data-desk", "search_instructions": "query=password"}
Inspect = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def inspect(home: Home, hub_server: HubServer, node_modules: Path) -> Inspect:
    """One method of the protocol, by a process of its own, which gives the server the variables that it is told."""
    hub_server.hub.put_assistant("dana/pasted", PASTED)
    home.login(DEMO_KEY)
    program = node_modules / ".bin" / "mcp-inspector"

    def run(method: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        env = ["-e", f"HUBLET_CONFIG={home.config}"]
        return home.start_and_wait(["node", str(program), "--cli", *env, *HUBLET, "mcp", "--method", method, *words])

    return run


def test_the_inspector_lists_and_reads_everything(inspect: Inspect, home: Home, hub_server: HubServer) -> None:
    """And no secret is in what it prints; what is unknown, and that no daemon runs, is said in words."""
    with home.daemon():
        assert home.hublet("sync").returncode == 0
        hub_server.stop()
        said = []

        def ask(method: str, *words: str) -> Any:
            done = inspect(method, *words)
            said.append(done.stdout + done.stderr)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        (template,) = ask("resources/templates/list")["resourceTemplates"]
        assert template["uriTemplate"] == "hublet://{owner}/{package}"
        resources = ask("resources/list")["resources"]
        shown = home.hublet("show", "dana/pasted").stdout.decode()
        for resource in resources:
            (content,) = ask("resources/read", "--uri", resource["uri"])["contents"]
            assert content["text"] == shown or resource["uri"] != "hublet://dana/pasted"
        prompts = ask("prompts/list")["prompts"]
        assert len(prompts) == 100, "the first page: the inspector asks for no other"
        asked = ask("prompts/get", "--prompt-name", "dana/polyglot/翻訳", "--prompt-args", "input=fünf")
        (message,) = asked["messages"]
        assert message["content"]["text"].endswith(": fünf")
        for tool in ask("tools/list")["tools"]:
            assert tool["annotations"]["readOnlyHint"] is True
            given = ["--tool-arg", GIVEN[tool["name"]]] if tool["name"] in GIVEN else []
            result = ask("tools/call", "--tool-name", tool["name"], *given)
            assert isinstance(result["structuredContent"], dict)
        for words in (
            ("tools/call", "--tool-name", "read_policy", "--tool-arg", "x=1"),
            ("resources/read", "--uri", "hublet://a/b"),
        ):
            done = inspect(*words)
            assert done.returncode != 0
            assert b"has no argument x" in done.stderr or b"there is no resource" in done.stderr
    assert found(CANARIES, {"inspector": b"\n".join(said)}) == []
    done = inspect("resources/list")
    assert b"no hublet is running" in done.stderr
