"""What else clients ask a Hub for: scope, packages, downloads, defaults, credits, secrets; online and without a Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import yaml

from hublet.demo.assistants import chat
from hublet.demo.data import ACME, DEMO_KEY, INITECH, World
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.daemon.visitor import ask
from tests.running import Answer, Home, RunningDaemon, eventually

SCOPES = (None, ACME, INITECH)
DEFAULTS = ("continuedev/default-cli-config", "continuedev/default-agent")
FIXED = "/registry/v1/openai/gpt-4.1/1.0.0"
PLAIN = (
    "/auth/scope",
    "/ide/credits",
    "/ide/free-trial-status",
    "/registry/v1/anthropic/claude-sonnet-4/latest",
    FIXED,
    "/v0/acme/review-rules/latest/download",
    "/v0/dana/rust-rules/1.0.0/download",
)
ADD_ON, TRIAL = ("openai", "gpt-4.1"), ("anthropic", "claude-3-5-haiku")
MINE = "dana/add-on-of-my-own"
Path = tuple[tuple[str, str], ...]


def slug(text: str) -> tuple[str, str]:
    owner, _, package = text.partition("@")[0].partition("/")
    return owner, package


def fqsn(path: Path, name: str) -> dict[str, object]:
    slugs = [{"ownerSlug": owner, "packageSlug": package} for owner, package in path]
    return {"packageSlugs": slugs, "secretName": name}


def default_path(package: str, scope: str | None) -> str:
    return f"/ide/get-assistant/{package}" + (f"?organizationId={scope}" if scope else "")


def used(world: World) -> list[str]:
    """Every `uses:` of the sample world, as it is written."""
    texts = re.findall(r"^ *- uses: (\S+)$", "\n".join(world.sources.values()), re.MULTILINE)
    assert len(set(texts)) > 10
    return sorted(set(texts))


def variables(value: object) -> list[str]:
    return re.findall(r"\$\{\{\s*secrets\.([^}\s]+)\s*\}\}", json.dumps(value))


def referred(world: World, scope: str | None) -> list[tuple[Path, str]]:
    """The names of the secrets that a scope's assistants refer to, found a second time by code of the test's own."""
    roster = world.roster if scope is None else world.organizations[scope].roster
    found: dict[tuple[Path, str], None] = {}
    for name in (*roster, *DEFAULTS):
        own = slug(name)
        for items in yaml.safe_load(world.sources[name]).values():
            for item in items if isinstance(items, list) else []:
                if not isinstance(item, dict) or "uses" not in item:
                    found |= {((own,), secret): None for secret in variables(item)}
                    continue
                block = slug(item["uses"])
                found |= {((own, block), secret): None for secret in variables(item.get("with"))}
                text = world.block("/".join(block), item["uses"].partition("@")[2] or None) or ""
                found |= {((own, block), secret): None for secret in variables(text)}
    return list(found)


def secrets(daemon: RunningDaemon, scope: str | None, *asked: tuple[Path, str]) -> list[dict[str, object]]:
    body = {"fqsns": [fqsn(*one) for one in asked], "orgScopeId": scope}
    sent = {"Content-Type": "text/plain;charset=UTF-8"}
    answer = ask(daemon, "POST", "/ide/sync-secrets", json.dumps(body).encode(), sent)
    assert answer.status == 200, answer.body
    found = json.loads(answer.body)
    assert [one["fqsn"] for one in found] == body["fqsns"], "each is echoed, in order"
    return found


def said(hub: Hub, method: str, path: str, body: bytes = b"") -> Answer:
    """What the Hub itself says, not counted as a request."""
    reply = hub.respond(method, path, {"authorization": f"Bearer {DEMO_KEY}"}, body)
    hub.requests.pop()
    return Answer(reply.status, {}, reply.read())


@dataclass
class Story:
    """Answers by path: as the Hub gives them, with the Hub there, and after a restart without it; and what the Hub saw
    during the second of three passes. No client has asked for a secret before the Hub died."""

    hub: dict[str, Answer] = field(default_factory=dict)
    online: dict[str, Answer] = field(default_factory=dict)
    offline: dict[str, Answer] = field(default_factory=dict)
    a_pass: list[tuple[str, str, bytes]] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Story, Home, RunningDaemon, Hub]]:
    """Yields with the Hub dead and the daemon started again."""
    story = Story()
    with HubServer(Hub()) as server:
        hub = server.hub
        # A secret of Dana's own that has the name of an add-on's, referred to by an assistant of hers in two scopes.
        hub.set_secret("GPT_ADD_ON_KEY", "canary-user-not-the-add-on")
        source = chat("Own", "http://localhost:1/v1").replace("LLM_KEY", "GPT_ADD_ON_KEY")
        hub.put_assistant(MINE, source, scopes=(None, ACME))
        home = Home.make(tmp_path_factory.mktemp("other") / "home", server.url)
        home.login(DEMO_KEY)
        with home.daemon() as daemon:
            eventually(lambda: b"answered," in daemon.log.read_bytes())
            for path in PLAIN:
                story.hub[path] = said(hub, "GET", path)
                story.online[path] = ask(daemon, "GET", path)
                ask(daemon, "GET", path)
            hub.forget_requests()
            assert home.hublet("sync").returncode == 0
            story.a_pass = [(seen.method, seen.target, seen.body) for seen in hub.requests]
            assert home.hublet("sync").returncode == 0
            ask(daemon, "GET", FIXED)
            story.asked = {path: hub.count(path) for path in PLAIN}
        for package in DEFAULTS:
            for scope in SCOPES:
                story.hub[default_path(package, scope)] = said(hub, "GET", default_path(package, scope))
    assert server.crashes == []
    with home.daemon() as daemon:
        for path in (*PLAIN, *(path for path in story.hub if path not in PLAIN)):
            story.offline[path] = ask(daemon, "GET", path)
        yield story, home, daemon, hub


Told = tuple[Story, Home, RunningDaemon, Hub]


# One question, one answer


@pytest.mark.parametrize("path", PLAIN)
def test_what_was_asked_once_is_answered_without_the_hub(told: Told, path: str) -> None:
    """The Hub's own bytes, or the same value: first from the Hub, then kept over a restart."""
    story = told[0]
    for answer in (story.online[path], story.offline[path]):
        assert answer.status == story.hub[path].status == 200
        if path.endswith("/download"):
            assert answer.headers["content-type"] == "application/zip"
            assert answer.body == story.hub[path].body
        else:
            assert json.loads(answer.body) == json.loads(story.hub[path].body)


def test_a_fixed_version_is_never_asked_for_again(told: Told) -> None:
    """Not by a client's second question nor by two passes; the newest version and the credits are, once a pass."""
    story = told[0]
    assert story.asked[FIXED] == 0
    assert story.asked["/v0/dana/rust-rules/1.0.0/download"] == 0
    for path in ("/registry/v1/anthropic/claude-sonnet-4/latest", "/v0/acme/review-rules/latest/download"):
        assert story.asked[path] == 2
    assert story.asked["/ide/credits"] == 2
    assert story.asked["/auth/scope"] == 2


def test_a_pass_asks_nothing_twice(told: Told) -> None:
    """A package that many assistants use and a client has asked for besides is one question."""
    story = told[0]
    assert len(story.a_pass) > 25
    assert sorted(set(story.a_pass)) == sorted(story.a_pass)


@pytest.mark.parametrize("package", DEFAULTS)
@pytest.mark.parametrize("scope", SCOPES)
def test_the_defaults_are_there_in_every_scope_before_anybody_asked(
    told: Told, package: str, scope: str | None
) -> None:
    """They are in no list: `cn` asks for them without being told an assistant, as its first request of all."""
    path = default_path(package, scope)
    mine, hubs = told[0].offline[path], told[0].hub[path]
    assert mine.status == 200
    assert "hit" in mine.headers["cache-status"]
    assert json.loads(mine.body) == json.loads(hubs.body)


def test_every_block_that_an_assistant_uses_is_there_before_anybody_asked(told: Told) -> None:
    """In the version that the assistant names, and those that don't exist with the Hub's own 404."""
    _, _, daemon, hub = told
    gone = []
    for text in used(hub.world):
        package, _, version = text.partition("@")
        path = f"/registry/v1/{package}/{version or 'latest'}"
        answer, hubs = ask(daemon, "GET", path), said(hub, "GET", path)
        assert (answer.status, json.loads(answer.body)) == (hubs.status, json.loads(hubs.body)), text
        if answer.status != 200:
            gone.append(text)
    assert gone == ["acme/gone-model", "acme/gone-rules"]


def test_what_was_never_asked_is_503_without_the_hub(told: Told) -> None:
    """It is not known that there is none: no 404, and no waiting."""
    for path in ("/registry/v1/nobody/nothing/latest", "/v0/acme/review-rules/9.9.9/download"):
        answer = ask(told[2], "GET", path)
        assert answer.status == 503
        assert json.loads(answer.body)["message"]


def test_the_newest_version_is_refreshed_by_a_pass(logged_in: Home, hub_server: HubServer) -> None:
    path = "/registry/v1/acme/review-rules/latest"
    with logged_in.daemon() as daemon:
        eventually(lambda: b"answered," in daemon.log.read_bytes())
        old = ask(daemon, "GET", path)
        with hub_server.hub.changing() as world:
            world.blocks["acme/review-rules"]["2.0.0"] = "name: Newer\nversion: 2.0.0\nschema: v1\nrules: [newer]\n"
        assert ask(daemon, "GET", path).body == old.body
        assert logged_in.hublet("sync").returncode == 0
        assert "newer" in json.loads(ask(daemon, "GET", path).body)["content"]


def test_an_organizations_key_knows_its_scope_without_the_hub(home: Home, hub_server: HubServer) -> None:
    """Without it `cn` asks for the assistants of the wrong scope."""
    hub_server.hub.accept_key("con_of_the_organization", ACME)
    home.login("con_of_the_organization")
    hub_server.stop()
    with home.daemon() as daemon:
        answer = ask(daemon, "GET", "/auth/scope", headers={"Content-Type": "application/json"})
    assert (answer.status, json.loads(answer.body)) == (200, {"organizationId": ACME})


# Secrets asked for ahead


@pytest.mark.parametrize("scope", SCOPES)
def test_every_secret_that_could_be_asked_for_is_answered_before_anybody_asked(told: Told, scope: str | None) -> None:
    """An assistant's own, those behind `with`, and those that the blocks themselves refer to: the Hub's own words."""
    _, _, daemon, hub = told
    names = referred(hub.world, scope)
    if scope is None:
        rust = ("dana", "rust-smith")
        assert {
            ((("dana", "night-owl"),), "TRACE_TOKEN"),
            ((rust, ("mistral", "codestral")), "MISTRAL_API_KEY"),
            ((rust, ("github", "github-mcp")), "GITHUB_TOKEN"),
            ((("dana", "trial-run"), ADD_ON), "GPT_ADD_ON_KEY"),
            ((slug(DEFAULTS[0]), TRIAL), "HAIKU_TRIAL_KEY"),
        } <= set(names)
    body = json.dumps({"fqsns": [fqsn(*one) for one in names], "orgScopeId": scope}).encode()
    assert secrets(daemon, scope, *names) == json.loads(said(hub, "POST", "/ide/sync-secrets", body).body)


def test_they_are_asked_for_in_one_request_a_scope(told: Told) -> None:
    posts = [json.loads(body) for method, _, body in told[0].a_pass if method == "POST"]
    assert {post["orgScopeId"] for post in posts} == set(SCOPES)
    assert len(posts) == len(SCOPES)


def test_a_users_value_answers_another_path_to_its_name(told: Told) -> None:
    """The user's secrets depend on the name alone: a local file that nobody has told us of gets its value."""
    daemon = told[2]
    file: tuple[str, str] = ("", "")
    for path in ((file,), (file, ("github", "github-mcp")), (("dana", "unheard-of"), file)):
        (found,) = secrets(daemon, None, (path, "GITHUB_TOKEN"))
        assert (found["found"], found["value"]) == (True, "canary-user-github-f19e7c30")


def test_an_organizations_place_answers_another_path_to_its_name(told: Told) -> None:
    """What the organization has is looked for before the user, by the name alone too: a client is told where it is."""
    (known,) = secrets(told[2], ACME, ((("", ""),), "ANTHROPIC_API_KEY"))
    assert (known["found"], known["secretLocation"]["secretType"]) == (True, "organization")  # type: ignore[index]
    assert "value" not in known


def test_a_users_value_does_not_answer_for_a_package_or_an_add_on(told: Told) -> None:
    """The name is Dana's, too; where the path goes through the package that has it, the Hub would not look so far.
    Known from another path or another scope, it is not answered with a value that is somebody else's."""
    daemon = told[2]
    value = "canary-user-not-the-add-on"
    trial = ("dana", "trial-run")
    (own,) = secrets(daemon, None, ((slug(MINE),), "GPT_ADD_ON_KEY"))
    assert own["value"] == value
    (add_on,) = secrets(daemon, None, ((trial, ADD_ON), "GPT_ADD_ON_KEY"))
    assert add_on["secretLocation"]["secretType"] == "models_add_on"  # type: ignore[index]
    for scope, path in (
        (None, (("", ""), ADD_ON)),
        (None, (slug(MINE), ADD_ON)),
        (ACME, (trial, ADD_ON)),
        (ACME, (("", ""), ADD_ON)),
    ):
        (guessed,) = secrets(daemon, scope, (path, "GPT_ADD_ON_KEY"))
        assert "value" not in guessed
    for scope in (None, ACME):
        (another,) = secrets(daemon, scope, ((("", ""), ("acme", "other-block")), "GPT_ADD_ON_KEY"))
        assert another["value"] == value


def test_a_users_value_is_not_taken_over_into_another_scope(told: Told) -> None:
    """An organization may have a secret of that name: what is true of one scope says nothing of another."""
    file: Path = (("", ""),)
    (here,) = secrets(told[2], None, (file, "TRACE_TOKEN"))
    assert here["found"]
    (there,) = secrets(told[2], INITECH, (file, "TRACE_TOKEN"))
    assert not there["found"]


def test_what_cant_be_known_is_not_found_and_never_an_error(told: Told) -> None:
    """Same length and same order: with anything else Continue's core does not look into the client's own .env files."""
    file: Path = (("", ""),)
    found = secrets(told[2], None, (file, "NEVER_HEARD_OF"), (file, "PIN"), (file, "NEVER_EITHER"))
    assert [one["found"] for one in found] == [False, True, False]
    assert found[0]["secretLocation"] == {"secretType": "not_found", "secretName": "NEVER_HEARD_OF"}


def test_a_name_that_a_client_once_asked_is_kept_fresh(logged_in: Home, hub_server: HubServer) -> None:
    """A local file's secret: nothing of the Hub's own says that it is used."""
    one: tuple[Path, str] = ((("", ""), ("", "")), "OPENAI_API_KEY")
    with logged_in.daemon() as daemon:
        eventually(lambda: b"answered," in daemon.log.read_bytes())
        assert secrets(daemon, ACME, one)[0]["value"] == "canary-user-openai-e24f80c9"
        hub_server.hub.set_secret("OPENAI_API_KEY", "canary-rotated")
        assert logged_in.hublet("sync").returncode == 0
    hub_server.stop()
    with logged_in.daemon() as daemon:
        assert secrets(daemon, ACME, one)[0]["value"] == "canary-rotated"


def test_when_locked_no_value_is_given_and_none_is_guessed(told: Told) -> None:
    """Last in this file. Locations, which are no secrets, still are; a name that has only a value is `not_found`."""
    _, home, daemon, _ = told
    assert home.hublet("lock").returncode == 0
    file: Path = (("", ""),)
    rust: Path = (("dana", "rust-smith"), ("github", "github-mcp"))
    add_on: Path = (("dana", "trial-run"), ADD_ON)
    found = secrets(daemon, None, (file, "GITHUB_TOKEN"), (rust, "GITHUB_TOKEN"), (add_on, "GPT_ADD_ON_KEY"))
    assert [one["found"] for one in found] == [False, False, True]
    assert found[1]["secretLocation"] == {"secretType": "not_found", "secretName": "GITHUB_TOKEN"}
    assert "canary-user" not in json.dumps(found)
