"""The real `cn` 1.5.45 as people use it: under a pseudo-terminal, with the Hub up and then dead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.server import HubServer
from tests.clients.cn import Cn
from tests.clients.conftest import up_then_down
from tests.clients.pretend_llm import PretendLlm
from tests.clients.terminal import Terminal
from tests.running import Home, RunningDaemon

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

BEARER = f"Bearer {USER_SECRETS['LLM_KEY']}"
TRIAL = "/ide/free-trial-status"
TRIAL_LEFT = "12/50 free trial"


@pytest.fixture
def cn(logged_in: Home, node_modules: Path) -> Cn:
    return Cn(logged_in, node_modules)


def started(cn: Cn, daemon: RunningDaemon, *words: str) -> Terminal:
    return Terminal(cn.home, [*cn.words, *words], cn.environment(daemon.url, DEMO_KEY))


def send(terminal: Terminal, prompt: str) -> None:
    """As a hand does it: what is pasted with its newline would stay in the box."""
    terminal.type(prompt)
    terminal.wait_for(f"● {prompt}")
    terminal.type("\r")


def test_it_starts_with_the_first_assistant_and_answers(
    cn: Cn, logged_in: Home, hub_server: HubServer, llm: PretendLlm
) -> None:
    """Without `--config` it takes the list's first assistant. Its title, its model and what that says are the same."""

    def talk(daemon: RunningDaemon) -> set[str | None]:
        with started(cn, daemon) as terminal:
            terminal.wait_for("Config: Local Chat")
            terminal.wait_for("Model: Pretend Chat")
            terminal.wait_for("Ask anything")
            send(terminal, "hi")
            terminal.wait_for(f"● {llm.text}")
        return set(llm.bearers())

    up, down = up_then_down(logged_in, hub_server, talk)
    assert up == {BEARER}
    assert down == up


def test_the_free_trial_is_polled_here_and_not_at_the_hub(cn: Cn, logged_in: Home, hub_server: HubServer) -> None:
    """It asks every five seconds for as long as it runs. The Hub hears that once an interval; without it the last
    known number is shown, and a prompt for a model of the Hub's ends in an error that does not end the session."""

    def polled(daemon: RunningDaemon) -> int:
        with started(cn, daemon, "--config", "dana/trial-run") as terminal:
            terminal.wait_for("Config: Trial Run")
            terminal.wait_for(TRIAL_LEFT)
            before = answered(logged_in)
            hub_server.hub.forget_requests()
            if hub_server.running:
                terminal.watch(12)
            else:
                send(terminal, "hi")
                terminal.wait_for("the Hub does not answer", within=60)
                terminal.type("\x1b")
                terminal.wait_for("Ask anything", after=len(terminal.text))
            return answered(logged_in) - before

    up, down = up_then_down(logged_in, hub_server, polled)
    assert up >= 2
    assert down >= 1
    assert hub_server.hub.count(TRIAL) <= 1


def answered(home: Home) -> int:
    """How many requests hublet has answered from its cache."""
    done = home.hublet("status", "--json")
    assert done.returncode == 0, done.stderr.decode()
    number: int = json.loads(done.stdout)["requests"]["answered_from_cache"]
    return number
