"""Every way in which a Hub makes its clients fail: behind hublet they see the last good answer.

Each test breaks the Hub in one way, lets a pass run into it, and asks what the IDE and `cn` ask: byte for byte the same
as before. What was never asked before gets an error that no client takes for an answer.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hublet.demo.data import ACME, DEMO_KEY, INITECH
from hublet.demo.faults import (
    Disconnect,
    EmptyList,
    Hang,
    Html,
    Instead,
    NullBody,
    RedirectTo,
    Rewrite,
    Status,
    Truncated,
)
from hublet.demo.hub import Hub
from hublet.demo.reply import Fault, Reply, json_reply
from hublet.demo.server import HubServer
from tests.daemon.visitor import ask
from tests.running import Answer, Home, RunningDaemon, eventually

pytestmark = pytest.mark.slow

CASCADE = (
    "/ide/policy",
    "/ide/list-organizations",
    "/ide/list-assistants",
    f"/ide/list-assistants?organizationId={ACME}",
    f"/ide/list-assistants?organizationId={INITECH}",
)
"""What core asks when a window opens: with one of them missing it moves the user to another profile for good."""
CLI = (
    "/auth/scope",
    "/ide/list-assistants?alwaysUseProxy=false",
    "/ide/get-assistant/dana/night-owl?alwaysUseProxy=false",
    f"/ide/get-assistant/acme/team-chat?alwaysUseProxy=false&organizationId={ACME}",
    "/ide/get-assistant/continuedev/default-cli-config",
    "/ide/free-trial-status",
    "/registry/v1/anthropic/claude-sonnet-4/latest",
)
SECRETS = (
    {"packageSlugs": [{"ownerSlug": "dana", "packageSlug": "night-owl"}], "secretName": "OPENAI_API_KEY"},
    {"packageSlugs": [{"ownerSlug": "", "packageSlug": ""}], "secretName": "NOT_ANYWHERE"},
    {"packageSlugs": [{"ownerSlug": "acme", "packageSlug": "backend-reviewer"}], "secretName": "ACME_OPENAI_KEY"},
)


@dataclass(frozen=True)
class Says(Instead):
    """200 and this JSON."""

    value: Any

    def reply(self) -> Reply:
        return json_reply(200, self.value)


@dataclass(frozen=True)
class Edited(Rewrite):
    """A 200's JSON after an edit."""

    edit: Callable[[Any], Any]

    def rewrite(self, good: Reply) -> Reply:
        return json_reply(200, self.edit(good.json()))


def configs(**result: object) -> Edited:
    """Every assistant with this in its configResult."""

    def edit(value: Any) -> Any:
        if isinstance(value, list):
            return [edit(item) for item in value]
        if value["packageSlug"] == "broken":
            return value  # there never was a good one
        return value | {"configResult": {"config": None, "configLoadInterrupted": False, **result}}

    return Edited(edit)


LISTS, ORGANIZATIONS, POLICY, GET, SYNC, REGISTRY = (
    "/ide/list-assistants", "/ide/list-organizations", "/ide/policy", "/ide/get-assistant", "/ide/sync-secrets",
    "/registry/",
)  # fmt: skip
Row = tuple[str, Fault, str]

PASSES: tuple[tuple[Row, ...], ...] = (
    # Each is one pass, in which the Hub fails in some of the ways at once; never in two where one would hide the other.
    (("401 for ide/*", Status(401, "Unauthorized"), "/ide/"),),
    (("500 for ide/*", Status(500), "/ide/"),),
    (("HTML 200 for everything", Html(), ""),),
    (("a redirect to a login page for everything", RedirectTo("https://portal.example/login"), ""),),
    (("204 for everything", Status(204, None), ""),),
    (("an answer cut off for everything", Truncated(), ""),),
    (("a closed connection for everything", Disconnect(), ""),),
    (
        ("list-organizations 404", Status(404, "Not found"), ORGANIZATIONS),
        ("list-assistants 500", Status(500), LISTS),
        ("get-assistant []", Says([]), GET),
        ("a policy without restrictions", Says({"policy": None, "orgSlug": None}), POLICY),
        ("sync-secrets 500", Status(500), SYNC),
    ),
    (
        ("list-organizations 500", Status(500), ORGANIZATIONS),
        ("list-assistants null", NullBody(), LISTS),
        ("get-assistant null", NullBody(), GET),
        ("policy null", NullBody(), POLICY),
        ("sync-secrets []", Says([]), SYNC),
        ("HTML for a block", Html(), REGISTRY),
    ),
    (
        ("list-organizations without its key", Says({}), ORGANIZATIONS),
        ("config null, errors null in a list", configs(errors=None), LISTS),
        ("get-assistant 404", Status(404, "Assistant not found"), GET),
        ("a policy that is an error's JSON", Says({"message": "Unauthorized"}), POLICY),
        ("sync-secrets with one result too few", Edited(lambda results: results[:-1]), SYNC),
    ),
    (
        ("no organizations", EmptyList(), ORGANIZATIONS),
        ("list-assistants []", EmptyList(), LISTS),
        ("config null, errors null alone", configs(errors=None), GET),
        ("sync-secrets HTML", Html(), SYNC),
    ),
    (
        ("a fatal error in a list", configs(errors=[{"fatal": True, "message": "broken"}]), LISTS),
        ("get-assistant 403", Status(403, "Not allowed"), GET),
        ("sync-secrets null", NullBody(), SYNC),
    ),
    (("429 for everything", Status(429, "Too many requests", retry_after=1), ""),),
)
TWICE_MEANS_IT = (403, 404)
"""A second pass in which the Hub says this of one assistant is believed, so it is heard well between."""


@dataclass
class Place:
    server: HubServer
    home: Home
    daemon: RunningDaemon
    good: dict[str, Answer]


def everything(daemon: RunningDaemon) -> dict[str, Answer]:
    """What the IDE and `cn` get now."""
    answers = {path: ask(daemon, "GET", path) for path in (*CASCADE, *CLI)}
    for scope in (None, ACME):
        answers[f"secrets in {scope}"] = secrets(daemon, SECRETS, scope)
    return answers


def secrets(daemon: RunningDaemon, fqsns: object, scope: str | None) -> Answer:
    """As core posts them: JSON that calls itself text."""
    body = json.dumps({"fqsns": fqsns, "orgScopeId": scope}).encode()
    return ask(daemon, "POST", "/ide/sync-secrets", body, {"Content-Type": "text/plain;charset=UTF-8"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with HubServer(Hub()) as server:
        home = Home.make(tmp_path_factory.mktemp("failures") / "home", server.url)
        home.login(DEMO_KEY)
        with home.daemon() as daemon:
            eventually(lambda: b"answered," in daemon.log.read_bytes())
            everything(daemon)
            assert home.hublet("sync").returncode == 0
            yield Place(server, home, daemon, everything(daemon))
        assert server.crashes == []


def same(now: dict[str, Answer], good: dict[str, Answer]) -> None:
    for question, answer in now.items():
        assert answer.status == 200, question
        assert answer.body == good[question].body, question
        assert "hit" in answer.headers["cache-status"]


_numbers = itertools.count()


def never_a_trap(daemon: RunningDaemon) -> None:
    """What was never asked before: an error with a message in it, quickly. No `null`, no `[]`, nothing empty, and no
    401, which would make clients drop what they have."""
    number = next(_numbers)
    answer = ask(daemon, "GET", f"/ide/get-assistant/dana/unheard-of-{number}?alwaysUseProxy=false")
    assert answer.status in (403, 404, 503)
    assert json.loads(answer.body)["message"]
    # Of secrets some are known and some are not: each has its result, never an error for all.
    unheard = {"packageSlugs": [{"ownerSlug": "", "packageSlug": ""}], "secretName": f"UNHEARD_{number}"}
    found = secrets(daemon, [unheard, *SECRETS], None)
    assert found.status == 200
    results = json.loads(found.body)
    assert [result["fqsn"] for result in results] == [unheard, *SECRETS]
    assert results[0]["found"] is False
    assert results[1]["value"] == "canary-user-openai-e24f80c9"


def test_the_good_answers_are_what_clients_need(place: Place) -> None:
    """What the other tests compare with: nobody can crash on it."""
    good = {question: json.loads(answer.body) for question, answer in place.good.items()}
    assert good["/ide/policy"]["policy"]["allowAnonymousTelemetry"] is False
    assert [each["slug"] for each in good["/ide/list-organizations"]["organizations"]] == ["acme", "initech"]
    for path in CASCADE[2:]:
        assert len(good[path]) >= 2
        usable = [each for each in good[path] if each["packageSlug"] != "broken"]
        assert all(each["configResult"]["config"]["name"] for each in usable)
    assert [result["found"] for result in good["secrets in None"]] == [True, False, False]
    assert [result["found"] for result in good[f"secrets in {ACME}"]] == [True, False, True]


@pytest.fixture(scope="module")
def failing(place: Place, request: pytest.FixtureRequest) -> Iterator[dict[str, Answer]]:
    """What clients get after a pass over a Hub that fails in some ways, and goes on to."""
    hub, rows = place.server.hub, request.param
    injected = [hub.inject(fault, prefix) for _, fault, prefix in rows]
    hub.forget_requests()
    for _ in range(2 if any(isinstance(fault, EmptyList) for _, fault, _ in rows) else 1):
        place.home.hublet("sync")  # that nothing is left is never believed, however often it is said
    for _, _, prefix in rows:
        assert hub.count(prefix) > 0, "the pass has run into it"
    never_a_trap(place.daemon)
    yield everything(place.daemon)
    for injection in injected:
        hub.heal(injection)
    if any(isinstance(fault, Status) and fault.code in TWICE_MEANS_IT for _, fault, _ in rows):
        assert place.home.hublet("sync").returncode == 0


@pytest.mark.parametrize(
    ("failing", "row"),
    [pytest.param(rows, row[0], id=row[0]) for rows in PASSES for row in rows],
    indirect=["failing"],
    scope="module",
)
def test_a_hub_that_fails_so_is_not_noticed(place: Place, failing: dict[str, Answer], row: str) -> None:
    """The row names what is meant; everything is compared, whatever the Hub failed at."""
    same(failing, place.good)


@pytest.fixture
def well(place: Place) -> Place:
    """The same after a good pass, whatever failed before."""
    place.server.hub.heal()
    assert place.home.hublet("sync").returncode == 0
    return place


def test_a_hub_that_hangs_is_not_waited_for(well: Place) -> None:
    """`cn` and core have no time limit of their own: they would hang with it for ever."""
    with well.server.hub.failing(Hang()):
        begun = time.monotonic()
        same(everything(well.daemon), well.good)
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer undefined", "Bearer eyJhbGciOi.work-os.token", f"Bearer {DEMO_KEY}", "Bearer con_another"],
)
def test_whatever_a_client_sends_to_sign_in_it_gets_the_accounts_answers(
    place: Place, authorization: str | None
) -> None:
    """On-premises IDEs say `undefined`, others a sign-in of the browser, the CLI often nothing at all."""
    headers = {"Authorization": authorization} if authorization else {}
    for path in (*CASCADE, *CLI):
        answer = ask(place.daemon, "GET", path, headers=headers)
        assert (answer.status, answer.body) == (200, place.good[path].body)


def test_both_shapes_of_errors_are_passed_on_as_the_hub_sent_them(well: Place) -> None:
    """Objects for the first-party clients, strings for the Python SDK: the Hub decides, and neither is harmful."""
    shapes = [{"fatal": False, "message": "odd", "uri": "file:///x"}, "only a string"]

    def odd(value: Any) -> Any:
        return [each | {"configResult": each["configResult"] | {"errors": shapes}} for each in value]

    with well.server.hub.failing(Edited(odd), "/ide/list-assistants"):
        assert well.home.hublet("sync").returncode == 0
        listed = json.loads(ask(well.daemon, "GET", f"/ide/list-assistants?organizationId={ACME}").body)
        assert all(each["configResult"]["errors"] == shapes for each in listed)
    assert well.home.hublet("sync").returncode == 0
    same(everything(well.daemon), well.good)


def test_with_the_hub_down_and_after_a_restart_without_it(well: Place) -> None:
    """ECONNREFUSED: first with the daemon that has asked before, then with one that never reached a Hub. Last in this
    file."""
    place = well
    place.server.stop()
    assert place.home.hublet("sync").returncode != 0
    same(everything(place.daemon), place.good)
    never_a_trap(place.daemon)
    port = place.daemon.port
    assert place.daemon.stop() == 0
    place.home.configure(place.server.url, port=port)
    with place.home.daemon() as again:
        assert again.port == port
        same(everything(again), place.good)
        never_a_trap(again)
