"""The real `cn` 1.5.45, unmodified: a whole headless prompt through hublet, with the Hub up and then dead."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hublet.demo.assistants import chat
from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.server import HubServer
from tests.clients.conftest import up_then_down
from tests.clients.pretend_llm import PretendLlm
from tests.running import Home, RunningDaemon

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

BEARER = f"Bearer {USER_SECRETS['LLM_KEY']}"
LOCAL_CHAT = ("--config", "dana/local-chat")

Cn = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def cn(logged_in: Home, node_modules: Path) -> Cn:
    """`cn(base, *words, key=...)`: one headless prompt, from a global directory that no run before has seen."""
    program = node_modules / "@continuedev" / "cli" / "dist" / "cn.js"
    numbers = itertools.count()

    def run(base: str, *words: str, key: str | None = DEMO_KEY) -> subprocess.CompletedProcess[bytes]:
        own = logged_in.path / f"continue-{next(numbers)}"
        own.mkdir()
        logged_in.own()
        environment = {
            "CONTINUE_API_BASE": base,
            "CONTINUE_GLOBAL_DIR": str(own),
            "CONTINUE_TELEMETRY_ENABLED": "0",
            "CONTINUE_METRICS_ENABLED": "0",
            "CONTINUE_ALLOW_ANONYMOUS_TELEMETRY": "0",
            "CONTINUE_CLI_AUTO_UPDATED": "1",
            **({"CONTINUE_API_KEY": key} if key else {}),
        }
        return logged_in.start_and_wait(["node", str(program), "-p", *words, "hi"], timeout=60, env=environment)

    return run


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """What it printed; it must have ended well."""
    assert done.returncode == 0, (done.stdout.decode(), done.stderr.decode())
    return done.stdout.decode().strip()


@pytest.mark.parametrize("slash", ["/", ""], ids=["slash", "no-slash"])
def test_a_prompt_is_answered_with_and_without_the_hub(
    cn: Cn, logged_in: Home, hub_server: HubServer, llm: PretendLlm, slash: str
) -> None:
    """The model gets the real secret as its bearer both times, and the output is the same."""

    def prompt(daemon: RunningDaemon) -> tuple[str, list[str | None]]:
        return said(cn(daemon.url + slash, *LOCAL_CHAT)), llm.bearers()

    up, down = up_then_down(logged_in, hub_server, prompt)
    assert up == (llm.text, [BEARER])
    assert down == up


def test_while_it_is_locked_the_model_gets_the_reference_and_never_the_value(
    cn: Cn, logged_in: Home, llm: PretendLlm
) -> None:
    """`cn` sends what it is given for a key, word for word, over a restart too."""
    with logged_in.daemon() as daemon:
        assert logged_in.hublet("sync").returncode == 0
        assert logged_in.hublet("lock").returncode == 0
        assert said(cn(daemon.url, *LOCAL_CHAT)) == llm.text
        assert llm.bearers() == ["Bearer ${{ secrets.LLM_KEY }}"]
    with logged_in.daemon() as daemon:
        assert said(cn(daemon.url, *LOCAL_CHAT)) == llm.text, "a restart lifts no lock"
        assert llm.bearers() == ["Bearer ${{ secrets.LLM_KEY }}"]


def test_a_prompt_in_an_organization(cn: Cn, logged_in: Home, hub_server: HubServer, llm: PretendLlm) -> None:
    """`--org` asks for the organizations first, then for the assistant in that scope."""

    def prompt(daemon: RunningDaemon) -> tuple[str, list[str | None]]:
        return said(cn(daemon.url, "--org", "acme", "--config", "acme/team-chat")), llm.bearers()

    up, down = up_then_down(logged_in, hub_server, prompt)
    assert up == (llm.text, [BEARER])
    assert down == up


@pytest.mark.parametrize("key", [None, DEMO_KEY], ids=["anonymous", "key"])
def test_a_prompt_without_an_assistant(
    cn: Cn, logged_in: Home, hub_server: HubServer, llm: PretendLlm, key: str | None
) -> None:
    """Without `--config` it asks for Continue's own default, which is in no list: asked through once, then cached."""
    hub_server.hub.put_assistant("continuedev/default-cli-config", chat("Default", llm.url))

    def prompt(daemon: RunningDaemon) -> tuple[str, list[str | None]]:
        return said(cn(daemon.url, key=key)), llm.bearers()

    up, down = up_then_down(logged_in, hub_server, prompt)
    assert up == (llm.text, [BEARER])
    assert down == up


def test_a_locked_cache_gives_no_secret_away(cn: Cn, logged_in: Home, llm: PretendLlm) -> None:
    """The assistant still loads; where the key stood is the author's own reference, and that is all the model gets."""
    with logged_in.daemon() as daemon:
        assert logged_in.hublet("lock").returncode == 0
        assert said(cn(daemon.url, *LOCAL_CHAT)) == llm.text
    assert llm.bearers() == ["Bearer ${{ secrets.LLM_KEY }}"]


def test_without_hublet_a_dead_hub_is_the_end(cn: Cn, hub_server: HubServer, llm: PretendLlm) -> None:
    """The same prompt pointed straight at the Hub: why there is a hublet."""
    assert said(cn(hub_server.url, *LOCAL_CHAT)) == llm.text
    assert llm.bearers() == [BEARER]
    hub_server.stop()
    failed = cn(hub_server.url, *LOCAL_CHAT)
    assert failed.returncode == 1
    assert llm.text not in failed.stdout.decode()
    assert llm.bearers() == []
