"""`hublet mcp` as the official inspector's command line uses it: everything is listed and read with the Hub gone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from tests.daemon.test_secrets_at_rest import found
from tests.mcp.test_client import CANARIES, PASTED
from tests.running import HUBLET, Home

pytestmark = [pytest.mark.clients, pytest.mark.timeout(400)]

Inspect = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def inspect(home: Home, hub_server: HubServer, node_modules: Path) -> Inspect:
    """One method of the protocol, by a process of its own, which gives the server the variables that it is told."""
    hub_server.hub.put_assistant("dana/pasted", PASTED)
    home.login(DEMO_KEY)
    program = node_modules / ".bin" / "mcp-inspector"

    def run(method: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        env = ["-e", f"HUBLET_CONFIG={home.config}"]
        return home.start_and_wait(["node", str(program), "--cli", *HUBLET, "mcp", *env, "--method", method, *words])

    return run


def test_the_inspector_lists_and_reads_everything(inspect: Inspect, home: Home, hub_server: HubServer) -> None:
    """And finds nothing in the tools' schemas that a client could stumble over; no secret is in what it prints."""
    with home.daemon():
        assert home.hublet("sync").returncode == 0
        hub_server.stop()
        said = []

        def ask(method: str, *words: str) -> dict[str, object]:
            done = inspect(method, *words)
            said.append(done.stdout + done.stderr)
            assert done.returncode == 0, done.stderr
            return dict(json.loads(done.stdout))

        (template,) = ask("resources/templates/list")["resourceTemplates"]  # type: ignore[misc]  # JSON
        assert template["uriTemplate"] == "hublet://{owner}/{package}"
        resources = ask("resources/list")["resources"]
        assert isinstance(resources, list)
        shown = home.hublet("show", "dana/pasted").stdout.decode()
        for resource in resources:
            (content,) = ask("resources/read", "--uri", resource["uri"])["contents"]  # type: ignore[misc]  # JSON
            assert content["text"] == shown or resource["uri"] != "hublet://dana/pasted"
        prompts = ask("prompts/list")["prompts"]
        assert isinstance(prompts, list)
        assert len(prompts) > 100
        (message,) = ask("prompts/get", "--prompt-name", "dana/polyglot/翻訳", "--prompt-args", "input=fünf")[
            "messages"
        ]  # type: ignore[misc]  # JSON
        assert message["content"]["text"].endswith(": fünf")
        strict = inspect("tools/list", "--strict")
        assert strict.returncode == 0
        assert b"warning" not in strict.stderr, strict.stderr.decode()
        for tool in json.loads(strict.stdout)["tools"]:
            assert tool["annotations"]["readOnlyHint"] is True
            given = {"get_assistant": "assistant=dana/data-desk", "search_instructions": "query=password"}.get(
                tool["name"]
            )
            result = ask("tools/call", "--tool-name", tool["name"], *(["--tool-arg", given] if given else []))
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
