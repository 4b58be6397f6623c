"""A model that only the Hub can reach (`continue-proxy`): real clients get it through hublet, token by token.

Without the Hub they get an error that says why, at once.
"""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.clients.cn import Cn
from tests.clients.conftest import up_then_down
from tests.running import Home, RunningDaemon

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
CHAT = "/model-proxy/v1/chat/completions"
TRIAL_RUN = ("--config", "dana/trial-run")
"""Its first model is paid for by the Hub's free trial."""
MODEL = "dana/trial-run/anthropic/claude-3-5-haiku-latest"
PACE = 0.25


@pytest.fixture
def cn(logged_in: Home, node_modules: Path) -> Cn:
    return Cn(logged_in, node_modules)


def stream(daemon: RunningDaemon, node_modules: Path) -> dict[str, Any]:
    """One streamed answer, as the SDK's own client of OpenAI's kind gets it."""
    order = {"modules": str(node_modules), "baseURL": f"{daemon.url}/", "apiKey": DEMO_KEY}
    order |= {"assistant": "dana/trial-run", "model": MODEL}
    words = ["node", str(HERE / "sdk_stream.mjs")]
    done = daemon.home.start_and_wait(words, input=json.dumps(order).encode(), timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def chats(hub: Hub) -> list[dict[str, Any]]:
    """The bodies of all requests to the model proxy so far; each came with the client's own key."""
    found = [seen for seen in hub.requests if seen.target == CHAT]
    assert {seen.authorization_kind for seen in found} <= {"key"}
    return [json.loads(seen.body) for seen in found]


def test_token_by_token(logged_in: Home, hub_server: HubServer, node_modules: Path) -> None:
    """Each token is with the client before the Hub has the next; without the Hub it gets a 503 with a message."""
    hub_server.hub.token_pace = PACE

    up, down = up_then_down(logged_in, hub_server, lambda daemon: stream(daemon, node_modules))

    assert tuple(text for _, text in up["tokens"]) == hub_server.hub.tokens
    times = [at / 1000 for at, _ in up["tokens"]]
    # Held back, they would all have come at the end. Half of the pace is for a machine that has much else to do.
    assert times[-1] - times[0] >= PACE * (len(times) - 1) * 0.5
    gaps = [late - early for early, late in itertools.pairwise(times)]
    assert sum(gap >= PACE * 0.5 for gap in gaps) >= len(gaps) - 1
    assert down["status"] == 503
    assert "the Hub does not answer" in down["message"]


def test_cn_with_a_proxied_model(cn: Cn, logged_in: Home, hub_server: HubServer) -> None:
    """An assistant's and the default config's: both stream, and the Hub is told which secret it is to use."""
    hub = hub_server.hub
    answer = "".join(hub.tokens)
    with logged_in.daemon() as daemon:
        hub.forget_requests()
        for words in (TRIAL_RUN, ()):
            done = cn.headless(daemon.url, *words)
            assert (done.returncode, done.stdout.decode().strip()) == (0, answer), done.stderr.decode()
    asked = chats(hub)
    assert [each["stream"] for each in asked] == [True, True]
    assert [each["continueProperties"]["apiKeyLocation"] for each in asked] == [
        "free_trial:anthropic/claude-3-5-haiku/HAIKU_TRIAL_KEY"
    ] * 2


def test_cn_with_a_proxied_model_and_no_hub(cn: Cn, logged_in: Home, hub_server: HubServer) -> None:
    """It loads the assistant from the cache, and ends with hublet's reason. Before that it asks again and again, with
    growing pauses, as it would ask any model that fails: hublet has refused each time at once."""
    hub_server.stop()
    with logged_in.daemon() as daemon:
        started = time.monotonic()
        fast = f"--require={HERE / 'fast_timers.cjs'}"
        failed = cn.headless(daemon.url, *TRIAL_RUN, more={"NODE_OPTIONS": fast})
        assert time.monotonic() - started < 40
    assert failed.returncode == 1
    assert failed.stdout == b""
    said = json.loads(failed.stderr)
    assert said == {"status": "error", "message": "503 the Hub does not answer, and this can't be cached"}
