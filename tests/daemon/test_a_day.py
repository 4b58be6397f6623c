"""A day of one IDE window, recorded, and replayed by three windows side by side: what the Hub sees of it."""

from __future__ import annotations

import json
import threading
from collections import Counter

from hublet.demo.data import ACME, DEMO_KEY, INITECH
from hublet.demo.server import HubServer
from tests.daemon.visitor import ask
from tests.running import Home, RunningDaemon, eventually

WINDOWS = 3
Request = tuple[str, str, object]


def _get(path: str) -> Request:
    return ("GET", path, None)


LOCAL_SECRETS = {
    "fqsns": [
        {"packageSlugs": [{"ownerSlug": "", "packageSlug": ""}], "secretName": "OPENAI_API_KEY"},
        {
            "packageSlugs": [
                {"ownerSlug": "", "packageSlug": ""},
                {"ownerSlug": "anthropic", "packageSlug": "claude-sonnet-4"},
            ],
            "secretName": "ANTHROPIC_API_KEY",
        },
        {"packageSlugs": [{"ownerSlug": "", "packageSlug": ""}], "secretName": "ONLY_IN_THE_ENV_FILE"},
    ],
    "orgScopeId": None,
}
REFRESH: Request = ("POST", "/auth/refresh", {"refreshToken": "%TOKEN%"})
CASCADE: tuple[Request, ...] = (
    _get("/ide/policy"),
    _get("/ide/list-organizations"),
    _get("/ide/list-assistants"),
    _get(f"/ide/list-assistants?organizationId={ACME}"),
    _get(f"/ide/list-assistants?organizationId={INITECH}"),
)
LOCAL_PROFILE: tuple[Request, ...] = (
    _get("/registry/v1/anthropic/claude-sonnet-4/latest"),
    _get("/registry/v1/mistral/codestral/1.2.0"),
    _get("/registry/v1/acme/gone-model/latest"),
    _get("/registry/v1/github/github-mcp/1.0.0"),
    ("POST", "/ide/sync-secrets", LOCAL_SECRETS),
)
CREDITS = _get("/ide/credits")
CHAT: tuple[Request, ...] = (
    ("POST", "/model-proxy/v1/chat/completions", {"model": "acme/house", "messages": [], "stream": True}),
    CREDITS,
)
OPENED: tuple[Request, ...] = (
    REFRESH,
    *CASCADE,
    *LOCAL_PROFILE,
    CREDITS,
    _get("/ide/free-trial-status"),
    _get("/agents/devboxes"),
)
RELOADED: tuple[Request, ...] = (*CASCADE, *LOCAL_PROFILE)

MOMENTS: tuple[tuple[Request, ...], ...] = (
    OPENED,
    # the morning: chats with models of one's own, each followed by a look at the credits
    *((CREDITS,),) * 12,
    (REFRESH,),
    *(CHAT,) * 2,
    # a setting was changed: the cascade anew; the history was opened
    RELOADED,
    (_get("/agents/devboxes"),),
    (("POST", "/model-proxy/v1/embeddings", {"input": ["x"]}),),
    (REFRESH,),
    # while a trial model is chosen the credits are polled
    *((CREDITS,),) * 20,
    (_get("/ide/get-models-add-on-checkout-url?profile_id=local&vscode_uri_scheme=vscode"),),
    CASCADE,
    (_get(f"/agents?organizationId={ACME}&limit=10"),),
    (_get(f"/agents?organizationId={ACME}&limit=10"),),
    # a provider of context through the Hub
    (_get("/proxy/context/drive/list"),),
    (("POST", "/proxy/context/drive/retrieve", {"query": "x"}),),
    # the afternoon: another organization, the reload button, an old build that polls full slugs
    RELOADED,
    *((_get("/ide/list-assistant-full-slugs"),),) * 10,
    *((_get(f"/ide/list-assistant-full-slugs?organizationId={ACME}"),),) * 10,
    (REFRESH,),
    *(CHAT,) * 3,
    RELOADED,
)
"""What is asked at one moment, one after the other."""
THE_DAY: tuple[Request, ...] = tuple(request for moment in MOMENTS for request in moment)
PASSED = ("/auth/refresh", "/agents", "/model-proxy/", "/proxy/", "/ide/get-models-add-on-checkout-url")
"""What the Hub answers each time: effects, streams and tokens."""


def is_passed(path: str) -> bool:
    return path.startswith(PASSED)


class Window(threading.Thread):
    """One IDE window: its sign-in goes from one refresh to the next; every answer is kept."""

    def __init__(self, daemon: RunningDaemon, hub_token: str, start: threading.Barrier) -> None:
        super().__init__()
        self.daemon_, self.token, self.barrier = daemon, hub_token, start
        self.answers: list[tuple[str, int, bytes]] = []

    def run(self) -> None:
        self.barrier.wait(20)
        for method, path, value in THE_DAY:
            body = json.dumps(value).replace("%TOKEN%", self.token).encode() if value is not None else None
            headers = {
                "Authorization": f"Bearer {DEMO_KEY}",
                "User-Agent": "node-fetch",
                "X-Extension-Version": "1.3.33",
                "X-Is-Prerelease": "false",
            }
            if body is not None:
                headers["Content-Type"] = "text/plain;charset=UTF-8"
            if path == "/auth/refresh":
                del headers["Authorization"]
            answer = ask(self.daemon_, method, path, body, headers)
            if path == "/auth/refresh" and answer.status == 200:
                self.token = json.loads(answer.body)["refreshToken"]
            self.answers.append((path, answer.status, answer.body))


def test_three_windows_of_a_day_cost_the_hub_one_asking_of_each_question(home: Home, hub_server: HubServer) -> None:
    """All of them start at once, on a hublet with its first pass behind it; the next interval costs as much again, and
    no more. Only what has to be passed through reaches the Hub each time."""
    hub = hub_server.hub
    tokens = [f"window-{number}" for number in range(WINDOWS)]
    hub.refresh_tokens.update(tokens)
    # The key comes from the environment, so that the daemon's first pass is the first ever.
    with home.daemon(env={"CONTINUE_API_KEY": DEMO_KEY}) as daemon:
        eventually(lambda: b"answered," in daemon.log.read_bytes())
        start = threading.Barrier(WINDOWS)
        windows = [Window(daemon, token, start) for token in tokens]
        for window in windows:
            window.start()
        for window in windows:
            window.join(60)
        seen = [(each.method, each.target, each.body) for each in hub.requests]
        status = json.loads(home.hublet("status", "--json").stdout)

        # each window has its day
        for window in windows:
            assert len(window.answers) == len(THE_DAY)
            for path, code, body in window.answers:
                missing = is_passed(path) and path.startswith(("/agents", "/proxy/", "/model-proxy/v1/embed"))
                assert code == (404 if missing or "gone-model" in path else 200), (path, body)
        for one, another in zip(windows[0].answers, windows[1].answers, strict=True):
            assert one == another or is_passed(one[0])

        # each question once
        asked = Counter(each for each in seen if not is_passed(each[1]) and not each[1].startswith("/icons/"))
        assert [each for each, times in asked.items() if times > 1] == []
        targets = {target for _, target, _ in asked}
        assert "/ide/credits" in targets
        assert f"/ide/list-assistants?alwaysUseProxy=false&organizationId={ACME}" in targets

        # what has to be passed through each time, was
        passed = sum(is_passed(path) for _, path, _ in THE_DAY) * WINDOWS
        assert sum(is_passed(target) for _, target, _ in seen) == passed
        assert hub.checkout_sessions == WINDOWS

        # and the numbers say so
        requests = status["requests"]
        cacheable = len(THE_DAY) * WINDOWS - passed
        assert requests["passed_through"] == passed
        assert requests["asked_of_hub"] == len(asked)
        assert requests["answered_from_cache"] + requests["waited_for_hub"] == cacheable
        assert requests["waited_for_hub"] <= 3 * WINDOWS, "credits, one package and the local secrets were new"
        assert requests["answered_from_cache"] > 10 * requests["waited_for_hub"]
        assert f"{requests['answered_from_cache']} requests answered from the cache" in shown(home)

        # a person's sync: everything that can have changed, once; what is not there is asked for with a list that has
        # changed, or when every list is read again
        fixed = {"/registry/v1/mistral/codestral/1.2.0", "/registry/v1/github/github-mcp/1.0.0"}
        gone = {"/registry/v1/acme/gone-model/latest", "/registry/v1/acme/gone-rules/latest"}
        for command, expected in ((("sync",), targets - fixed - gone), (("sync", "--full"), targets - fixed)):
            hub.forget_requests()
            assert home.hublet(*command).returncode == 0
            again = Counter((each.method, each.target, each.body) for each in hub.requests)
            assert [each for each, times in again.items() if times > 1] == []
            assert {target for _, target, _ in again} == expected


def shown(home: Home) -> str:
    """`hublet status` as people see it."""
    return home.hublet("status").stdout.decode()
