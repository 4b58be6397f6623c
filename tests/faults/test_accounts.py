"""An account that the Hub suddenly knows less of, or by another name: what the client of a real daemon gets meanwhile,
what a person is asked, and what their word does."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator

import pytest
from tests.daemon.asking import EVERYTHING, Question, bodies, names, status
from tests.faults.hours_later import INTERVAL, Later, daemon_of, stale
from tests.running import Answer, Home

from hublet.demo import faults
from hublet.demo.data import ACME, DEMO_KEY, INITECH, Organization, sample_world
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer

pytestmark = pytest.mark.slow

ACMES: Question = ("GET", f"/ide/list-assistants?organizationId={ACME}", None)
INITECHS: Question = ("GET", f"/ide/list-assistants?organizationId={INITECH}", None)
ORGANIZATIONS: Question = ("GET", "/ide/list-organizations", None)
MINE: Question = ("GET", "/ide/list-assistants", None)


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with HubServer(Hub()) as running:
        yield running
    assert running.crashes == []


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory, server: HubServer) -> Iterator[Later]:
    place = tmp_path_factory.mktemp("accounts")
    place.chmod(0o755)
    home = Home.make(place / "home", server.url)
    home.login(DEMO_KEY)
    with daemon_of(home) as running:
        yield running


@pytest.fixture
def good(later: Later, server: HubServer) -> Iterator[list[Answer]]:
    """What the Hub says while it is well; it is well again afterwards, and whatever is held then is accepted."""
    assert later.sync()[0] == 0
    yield later.ask(EVERYTHING)
    server.hub.heal()
    with server.hub.changing() as world:
        for name, value in vars(sample_world()).items():
            setattr(world, name, value)
    later.sync()
    for held in waiting(later):
        later.daemon.home.hublet("quarantine", "accept", held)
    later.sync()


def waiting(later: Later) -> list[str]:
    """What a person is asked about."""
    held = status(later.daemon.home)["quarantine"]
    assert isinstance(held, list)
    return [one["what"] for one in held if not one["rejected"]]


def quarantine(later: Later, *words: str) -> str:
    done = later.daemon.home.hublet("quarantine", *words)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def syncs(later: Later, times: int) -> None:
    for _ in range(times):
        later.put_forward(INTERVAL + 1)
        later.sync()


def titles(answer: Answer) -> list[str]:
    return [f"{one['ownerSlug']}/{one['packageSlug']}" for one in json.loads(answer.body)]


def test_a_lost_organization_is_served_until_a_person_agrees(
    later: Later, server: HubServer, good: list[Answer]
) -> None:
    """Shown with all that is in it; accepted while the Hub is away, the others stand at once."""
    server.hub.remove_organization(INITECH)
    syncs(later, 3)
    answers = later.ask(EVERYTHING)
    assert bodies(answers) == bodies(good)
    assert all(stale(later.ask([question])[0]) for question in (INITECHS, ORGANIZATIONS))
    assert not stale(later.ask([ACMES])[0]), "the rest is as fresh as ever"
    assert waiting(later) == ["organizations"]
    shown = quarantine(later, "show", "organizations")
    assert "would no longer be served:" in shown
    assert "(initech)" in shown
    assert "initech/tps-reports" in shown
    assert "acme" not in shown
    server.stop()
    try:
        quarantine(later, "accept", "organizations")
        (left,) = later.ask([ORGANIZATIONS])
        assert [one["id"] for one in json.loads(left.body)["organizations"]] == [ACME]
        assert json.loads(left.body)["organizations"] == [
            one for one in json.loads(good[EVERYTHING.index(ORGANIZATIONS)].body)["organizations"] if one["id"] == ACME
        ]
        assert later.ask([INITECHS])[0].status == 404
        before = dict(zip(EVERYTHING, good, strict=True))
        assert bodies(later.ask([ACMES, MINE])) == bodies([before[ACMES], before[MINE]])
    finally:
        server.start(server.port)


def test_a_gained_organization_is_there_with_the_next_pass(later: Later, server: HubServer, good: list[Answer]) -> None:
    """Also while another one is lost: the new one is listed, the lost one still is."""
    server.hub.remove_organization(INITECH)
    server.hub.add_organization(Organization("org_new", "New Corp", "newcorp", roster=["dana/night-owl"]))
    syncs(later, 1)
    listed, new, old = later.ask(
        [ORGANIZATIONS, ("GET", "/ide/list-assistants?organizationId=org_new", None), INITECHS]
    )
    assert {one["id"] for one in json.loads(listed.body)["organizations"]} == {ACME, INITECH, "org_new"}
    assert titles(new) == ["dana/night-owl"]
    assert old.status == 200


def test_a_renamed_organization_has_its_new_name_and_loses_nothing(
    later: Later, server: HubServer, good: list[Answer]
) -> None:
    """The id stays, the slug of it and of its assistants is another: one pass, nobody is asked."""
    before = titles(later.ask([ACMES])[0])
    with server.hub.changing() as world:
        world.organizations[ACME].slug = "acme-int"
        for slug in [slug for slug in world.organizations[ACME].roster if slug.startswith("acme/")]:
            world.sources[slug.replace("acme/", "acme-int/")] = world.sources.pop(slug)
        world.organizations[ACME].roster = [s.replace("acme/", "acme-int/") for s in world.organizations[ACME].roster]
    syncs(later, 1)
    listed, organizations = later.ask([ACMES, ORGANIZATIONS])
    assert titles(listed) == [slug.replace("acme/", "acme-int/") for slug in before]
    assert "acme-int" in organizations.body.decode()
    assert waiting(later) == []


def test_an_account_that_is_refused_everything_is_held_and_given_back(
    later: Later, server: HubServer, good: list[Answer]
) -> None:
    """401 here, 404 there: the last good is served, a person is asked, and it ends when the Hub answers again."""
    server.hub.inject(faults.Status(404, "User not found"), "/ide/")
    server.hub.inject(faults.Status(401, "Unauthorized"), "/ide/policy")
    server.hub.inject(faults.Status(410, "Gone for good"), "/auth/")
    server.hub.inject(faults.Status(404, "Assistant not found"), "/ide/get-assistant")
    for _ in range(3):
        syncs(later, 1)
        answers = later.ask(EVERYTHING)
        assert bodies(answers) == bodies(good)
        assert all(stale(answer) for answer in answers)
        assert waiting(later) == ["everything"]
    shown = quarantine(later, "show", "everything")
    for line in ("404 User not found", "401 Unauthorized", "410 Gone for good", "acme/backend-reviewer", "dana/"):
        assert line in shown
    assert "everything (the Hub refuses your account)" in later.daemon.home.hublet("status").stdout.decode()
    quarantine(later, "reject", "everything")
    syncs(later, 2)
    assert waiting(later) == [], "the same is not asked again"
    assert "you keep what there is" in quarantine(later, "--all")
    server.hub.inject(faults.Status(404, "Organization not found"), "/ide/list-organizations")
    syncs(later, 1)
    assert waiting(later) == ["everything"], "something else is"
    server.hub.heal()
    syncs(later, 1)
    assert status(later.daemon.home)["quarantine"] == []
    assert bodies(later.ask(EVERYTHING)) == bodies(good)


def test_a_rejected_loss_is_kept_and_not_told_again_until_the_hub_says_something_else(
    later: Later, server: HubServer, good: list[Answer]
) -> None:
    """However much time passes; one more that is missing is something else."""
    what = "assistants of Acme Corp"
    with server.hub.changing() as world:
        roster = copy.copy(world.organizations[ACME].roster)
        world.organizations[ACME].roster = roster[:2]
    syncs(later, 1)
    assert waiting(later) == [what]
    assert all(slug in quarantine(later, "show", what) for slug in roster[2:])
    quarantine(later, "reject", what)
    for _ in range(3):
        later.put_forward(86400)
        later.sync()
        assert waiting(later) == []
        assert titles(later.ask([ACMES])[0]) == roster
    with server.hub.changing() as world:
        world.organizations[ACME].roster = roster[:1]
    later.sync()
    assert waiting(later) == [what]
    quarantine(later, "accept", what)
    assert titles(later.ask([ACMES])[0]) == roster[:1]


@pytest.mark.parametrize("shape", ["null", "not_found"])
def test_a_secret_is_not_lost_by_one_answer(later: Later, server: HubServer, good: list[Answer], shape: str) -> None:
    """The value is served until a second pass says that there is none."""
    asked: Question = ("POST", "/ide/sync-secrets", names(("dana/local-chat", "LLM_KEY")))
    (before,) = later.ask([asked])
    later.sync()
    assert json.loads(before.body)[0]["value"]
    if shape == "null":
        server.hub.inject(_NoSecrets(), "/ide/sync-secrets")
    else:
        server.hub.remove_secret("LLM_KEY")
    syncs(later, 1)
    (kept,) = later.ask([asked])
    assert kept.body == before.body
    assert stale(kept)
    syncs(later, 1)
    (gone,) = later.ask([asked])
    assert "value" not in (json.loads(gone.body)[0] or {})


class _NoSecrets(faults.Rewrite):
    """null for each secret."""

    def rewrite(self, good: faults.Reply) -> faults.Reply:
        value = good.json()
        assert isinstance(value, list)
        return faults.json_reply(200, [None for _ in value])
