"""Taking replies apart: without loss, without a secret in what is kept, and never a value in what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.splitting import MARK, asst, one, rendered, take

from hublet.core import operations as ops
from hublet.core import questions as q
from hublet.core import referring
from hublet.core.records import Content, View, render
from hublet.core.split import MOST_ASSISTANTS, MOST_ORGANIZATIONS, Harvest, WrongShape, used
from hublet.demo.data import ACME, DEMO_KEY, INITECH, ORGANIZATION_SECRETS, USER_SECRETS
from hublet.demo.hub import Hub

SCOPES = (None, ACME, INITECH)
CANARIES = [value for name, value in USER_SECRETS.items() if name != "PIN"]
"""Every user secret but the PIN, whose four characters can stand anywhere."""
HIDDEN = View(False, lambda url: f"http://localhost/{url.rpartition('/')[2]}")


def said(hub: Hub, operation: ops.Operation) -> Any:
    call = ops.write(operation)
    reply = hub.respond(call.method, call.target, {"authorization": f"Bearer {DEMO_KEY}"}, call.body or b"")
    assert reply.status == 200
    return reply.json()


def blocks_of(hub: Hub, reply: object) -> dict[str, str]:
    found = {}
    for text in used(reply):
        package = referring.block_of(text)
        assert package is not None
        content = hub.world.block(str(package[0]), package[1])
        if content is not None:
            found[text] = content
    return found


def kept_text(content: Content) -> str:
    """All of a content that is kept outside its bindings, as text without JSON's escapes."""
    holes = "\0".join(hole.name for hole in content.template.holes)
    template = orjson.loads(content.template.text)
    return "\0".join([json.dumps(template, ensure_ascii=False), holes, *content.traits.values()])


def lists(hub: Hub) -> Iterator[tuple[ops.ListAssistants, Any]]:
    for scope in SCOPES:
        for proxied in (False, True):
            operation = ops.ListAssistants(scope, proxied)
            yield operation, said(hub, operation)


@pytest.mark.parametrize("with_blocks", [True, False], ids=["blocks known", "blocks unknown"])
def test_every_demo_assistant_is_taken_apart_without_loss_or_leak(with_blocks: bool) -> None:
    """In each scope, proxied or not: rendered it is what the Hub said, and what is kept outside of the bindings has no
    secret of the user."""
    hub = Hub("http://127.0.0.1:9/v1")
    seen, values = 0, set()
    for operation, reply in lists(hub):
        harvest = take(operation, reply, blocks_of(hub, reply) if with_blocks else None)
        *facts, roster = harvest.facts
        assert roster.question == q.Roster(operation.scope, operation.proxied)
        slugs = [[item["ownerSlug"], item["packageSlug"]] for item in reply]
        assert orjson.loads(roster.content.template.text) == slugs
        assert [fact.question for fact in facts] == [
            q.Assistant(operation.scope, operation.proxied, q.Slug(*slug)) for slug in slugs
        ]
        for fact, item in zip(facts, reply, strict=True):
            assert rendered(fact.content, icons=dict(harvest.icons)) == item
            assert not [value for value in CANARIES if value in kept_text(fact.content)]
            hidden = render(fact.content.template, fact.content.bindings, HIDDEN)
            assert isinstance(orjson.loads(hidden), dict)
            values |= {value.reveal() for value in fact.content.bindings.values()}
            seen += 1
    assert seen > 24
    assert set(CANARIES) <= values | {USER_SECRETS["ANTHROPIC_API_KEY"]}
    assert not values & {value for scope in ORGANIZATION_SECRETS.values() for value in scope.values()}


def test_with_its_blocks_every_value_of_the_demo_world_has_its_name() -> None:
    """Only what authors have pasted is bound without a name. So a locked cache shows what the author wrote."""
    hub = Hub("http://127.0.0.1:9/v1")
    for operation, reply in lists(hub):
        for fact in take(operation, reply, blocks_of(hub, reply)).facts:
            for name, value in fact.content.bindings.items():
                known = USER_SECRETS.get(name)
                assert (known or value.reveal()) == value.reveal()
                if name.startswith("unnamed/"):
                    assert value.reveal() not in USER_SECRETS.values(), f"{fact.question}: {name}"


def test_an_organizations_secrets_stay_as_the_locations_that_they_are() -> None:
    """`apiKeyLocation` and `${{ secrets.organization:... }}` are not values, hidden or not."""
    hub = Hub("http://127.0.0.1:9/v1")
    operation = ops.GetAssistant(ACME, False, q.Slug("acme", "backend-reviewer"))
    harvest = take(operation, said(hub, operation))
    hidden = render(harvest.facts[0].content.template, {}, HIDDEN).decode()
    assert '"apiKeyLocation":"organization:acme/ACME_OPENAI_KEY"' in hidden
    assert '"JIRA_TOKEN":"${{ secrets.organization:acme/ACME_JIRA_TOKEN }}"' in hidden
    assert '"X-Acme-Gateway":"${{ secrets.organization:acme/ACME_GATEWAY_TOKEN }}"' in hidden
    assert '"GITHUB_TOKEN":"${{ secrets.GITHUB_TOKEN }}"' in hidden


def test_a_proxied_assistant_has_no_values_at_all() -> None:
    """The Hub gives locations only: nothing of the user's is bound."""
    hub = Hub("http://127.0.0.1:9/v1")
    operation = ops.ListAssistants(None, True)
    for fact in take(operation, said(hub, operation)).facts:
        values = {value.reveal() for value in fact.content.bindings.values()}
        assert not values & set(USER_SECRETS.values())


def test_the_secrets_that_assistants_refer_to_are_harvested_in_full() -> None:
    """With their packages, so that they can be asked for ahead: the assistant's own and its blocks'."""
    hub = Hub("http://127.0.0.1:9/v1")
    operation = ops.GetAssistant(None, False, q.Slug("dana", "rust-smith"))
    reply = said(hub, operation)
    me = q.Slug("dana", "rust-smith")
    assert set(take(operation, reply, blocks_of(hub, reply)).secrets) == {
        q.Fqsn((me, q.Slug("anthropic", "claude-sonnet-4")), "ANTHROPIC_API_KEY"),
        q.Fqsn((me, q.Slug("mistral", "codestral")), "MISTRAL_API_KEY"),
        q.Fqsn((me, q.Slug("github", "github-mcp")), "GITHUB_TOKEN"),
    }


def test_listing_again_changes_nothing_though_icon_addresses_do() -> None:
    """The pre-signed URLs are new each time. The contents are equal all the same, and hold no query."""
    hub = Hub("http://127.0.0.1:9/v1")
    for operation in (ops.ListAssistants(None), ops.ListAssistants(ACME), ops.ListOrganizations()):
        one, other = take(operation, said(hub, operation)), take(operation, said(hub, operation))
        assert one.facts == other.facts
        assert one.icons != other.icons
        assert not [fact for fact in one.facts if b"X-Amz" in fact.content.template.text]
        assert all("X-Amz-Signature" in address and "?" not in url for url, address in one.icons)


@pytest.mark.parametrize(
    ("result", "trouble"),
    [
        ({"config": {"name": "A"}, "configLoadInterrupted": False}, None),
        ({"config": {"name": "A"}, "configLoadInterrupted": False, "errors": ["text", {"fatal": False}]}, None),
        ({"config": {"name": "A"}, "configLoadInterrupted": False, "errors": None}, None),
        ({"config": None, "configLoadInterrupted": False}, "no config"),
        ({"config": {"name": "A"}, "configLoadInterrupted": True}, "loading was interrupted"),
        (
            {"config": {"name": "A"}, "configLoadInterrupted": False, "errors": [{"fatal": True, "message": "canary"}]},
            "a fatal error",
        ),
    ],
)
def test_an_assistant_that_did_not_load_says_so(result: dict[str, Any], trouble: str | None) -> None:
    """In one trait, without the message: it can quote what the author pasted."""
    traits = one(asst(configResult=result)).traits
    assert traits.get("trouble") == trouble
    assert "canary" not in repr(traits)


deep: Any = "x"
for _ in range(400):
    deep = [deep]

CANARY = "canary-value"
good_result = {"config": {"name": "A"}, "configLoadInterrupted": False}
bad_items: list[object] = [
    None,
    CANARY,
    [CANARY],
    {},
    asst(ownerSlug=None),
    asst(ownerSlug=""),
    asst(ownerSlug=5),
    asst(packageSlug=[CANARY]),
    asst(packageSlug=".."),
    asst(ownerSlug=f"{CANARY}\n"),
    asst(configResult=None),
    asst(configResult=CANARY),
    asst(configResult={}),
    asst(configResult={"config": {}, "configLoadInterrupted": 0}),
    asst(configResult={"config": CANARY, "configLoadInterrupted": False}),
    asst(configResult={"config": [CANARY], "configLoadInterrupted": False}),
    asst(configResult={"configLoadInterrupted": False}),
    asst(configResult={"config": {}}),
    asst(configResult=good_result | {"errors": CANARY}),
    asst(configResult=good_result | {"errors": [5, CANARY]}),
    asst(configResult=good_result | {"errors": {"message": CANARY}}),
    asst(iconUrl=[CANARY]),
    asst(onPremProxyUrl={CANARY: 1}),
    asst(rawYaml=[CANARY]),
    asst(useOnPremProxy=CANARY),
    asst(useOnPremProxy=0),
    asst(configResult={"config": {"x": deep}, "configLoadInterrupted": False}),
]
secret = ops.SyncSecrets.of(None, (q.Fqsn((), "N"),))
bad_replies: list[tuple[ops.Operation, object]] = [
    *((ops.ListAssistants(None), [asst(packageSlug="first"), item]) for item in bad_items),
    *((ops.GetAssistant(None, False, q.Slug("o", "p")), item) for item in bad_items),
    *((ops.ListAssistants(None), reply) for reply in (None, CANARY, {}, {"message": CANARY}, 5)),
    (ops.ListAssistants(None), [asst(), asst()]),
    (ops.GetAssistant(None, False, q.Slug("o", "p")), asst(packageSlug="canary-value")),
    *((ops.ListOrganizations(), reply) for reply in (None, [], {}, {"organizations": None}, {"organizations": {}})),
    *(
        (ops.ListOrganizations(), {"organizations": [org]})
        for org in (
            None,
            {"id": CANARY, "name": None, "slug": "s"},
            {"id": 1, "name": CANARY, "slug": "s"},
            {"id": "", "name": CANARY, "slug": "s"},
            {"id": "i", "name": CANARY},
            {"id": "i", "name": CANARY, "slug": "s", "iconUrl": 5},
        )
    ),
    (ops.ListOrganizations(), {"organizations": [{"id": "i", "name": CANARY, "slug": "s"}] * 2}),
    *(
        (ops.GetPolicy(), reply)
        for reply in (None, [], CANARY, {"policy": []}, {"policy": CANARY}, {"message": CANARY})
    ),
    (ops.GetPolicy(), {"policy": {}, "orgSlug": [CANARY]}),
    (ops.GetPolicy(), {"policy": {"x": deep}}),
    *((ops.GetFreeTrialStatus(), reply) for reply in (None, {}, {"optedInToFreeTrial": CANARY})),
    (ops.GetFreeTrialStatus(), {"optedInToFreeTrial": True, "chatLimit": True, "autocompleteLimit": 1}),
    (ops.GetFreeTrialStatus(), {"optedInToFreeTrial": True, "chatLimit": 1, "autocompleteLimit": CANARY}),
    *((secret, reply) for reply in (None, {}, [], [None, None], [CANARY], [{}], [[CANARY]])),
    (secret, [{"found": CANARY, "secretLocation": {"secretType": "user"}}]),
    (secret, [{"found": True, "secretLocation": {"secretType": 5}, "value": CANARY}]),
    (secret, [{"found": True, "secretLocation": {"secretType": "user"}, "value": [CANARY]}]),
    *((ops.GetCredits(), reply) for reply in (None, [], {"message": CANARY})),
    *((ops.GetAuthScope(), reply) for reply in (None, CANARY, {"message": CANARY})),
    *((ops.GetBlock(q.Slug("a", "b"), "1"), reply) for reply in (None, CANARY, {}, {"content": [CANARY]})),
    *(
        (ops.DownloadPackage(q.Slug("a", "b"), "1"), reply)
        for reply in (None, {}, CANARY.encode(), b"PK" + CANARY.encode())
    ),
    (
        ops.ListOrganizations(),
        {"organizations": [{"id": id_, "name": CANARY, "slug": "same"} for id_ in ("one", "other")]},
    ),
]


@pytest.mark.parametrize(("operation", "reply"), bad_replies)
def test_a_wrong_shape_is_told_without_a_word_of_the_reply(operation: ops.Operation, reply: object) -> None:
    """At every level: one sentence that says where, and nothing that could be a secret, into a log or a status."""
    with pytest.raises(WrongShape) as caught:
        take(operation, reply)
    assert str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_list_has_so_many_assistants_and_no_more() -> None:
    """Twice the largest team that hublet is made for. Of a longer list not even the packages are asked for."""
    uses = "models:\n  - uses: o/block\n"
    reply = [asst(packageSlug=f"p{index}") for index in range(MOST_ASSISTANTS - 1)] + [asst(rawYaml=uses)]
    assert len(take(ops.ListAssistants(None), reply).facts) == MOST_ASSISTANTS + 1
    assert used(reply) == ("o/block",)
    reply.append(asst(packageSlug="one-more"))
    with pytest.raises(WrongShape, match="more than 20000 assistants"):
        take(ops.ListAssistants(None), reply)
    assert used(reply) == ()


def test_an_account_has_so_many_organizations_and_no_more() -> None:
    """A pass asks for a list of each."""
    some = [{"id": f"i{index}", "name": "n", "slug": f"s{index}"} for index in range(MOST_ORGANIZATIONS + 1)]
    assert len(take(ops.ListOrganizations(), {"organizations": some[:-1]}).organizations) == MOST_ORGANIZATIONS
    with pytest.raises(WrongShape, match="more than 1000 organizations"):
        take(ops.ListOrganizations(), {"organizations": some})


def test_the_good_shape_of_each_of_those_is_taken() -> None:
    """So each row of the table above is refused for the one thing that is wrong in it."""
    assert len(take(ops.ListAssistants(None), [asst(packageSlug="first"), asst()]).facts) == 3
    assert take(ops.ListOrganizations(), {"organizations": [{"id": "i", "name": "n", "slug": "s"}]}).organizations == (
        "i",
    )
    assert take(ops.GetPolicy(), {"policy": None, "orgSlug": None}).facts
    assert take(ops.GetFreeTrialStatus(), {"optedInToFreeTrial": True, "chatLimit": 1.5, "autocompleteLimit": 2}).facts
    assert take(ops.GetBlock(q.Slug("a", "b"), "1"), {"content": "text"}).block == "text"
    assert take(ops.DownloadPackage(q.Slug("a", "b"), "1"), b"PK\5\6" + bytes(18)).facts
    assert take(ops.ListFullSlugs(None), None) == take(ops.GetCheckoutUrl(None, None), None) == Harvest(())


def test_secrets_answer_one_question_each() -> None:
    """The value is cut out, the name is not kept (each client gets its own back), odd elements are no question."""
    hub = Hub("http://127.0.0.1:9/v1")
    names = (q.Fqsn((), "GITHUB_TOKEN"), q.Fqsn((q.Slug("a", "b"),), "NOT_ANYWHERE"), q.Fqsn((), "PIN"))
    asked = ops.SyncSecrets.of(ACME, names)
    operation = ops.SyncSecrets(ACME, None, (asked.asked[0], '{"odd":1}', *asked.asked[1:]))
    reply = said(hub, operation)
    facts = take(operation, reply).facts
    assert [fact.question for fact in facts] == [q.Secret(ACME, fqsn) for fqsn in names]
    for fact, result in zip(facts, [reply[0], *reply[2:]], strict=True):
        assert rendered(fact.content) == {key: value for key, value in result.items() if key != "fqsn"}
        assert not [value for value in USER_SECRETS.values() if value in kept_text(fact.content)]
    assert facts[0].content.bindings["GITHUB_TOKEN"].reveal() == USER_SECRETS["GITHUB_TOKEN"]
    assert take(secret, [None]).facts[0].content.template.text == b"null"


def test_a_reply_that_knows_the_mark_is_refused() -> None:
    """It can't know the mark, which is random. If it did, it would be refused and not misread."""
    result = {"config": {"name": f"x{MARK}0;", "models": [{"apiKey": "k"}]}, "configLoadInterrupted": False}
    with pytest.raises(WrongShape):
        one(asst(configResult=result))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
values = texts.filter(lambda text: len(text) > 3 and "$" not in text)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
secret_places = st.fixed_dictionaries(
    {"name": texts},
    optional={
        "apiKey": st.tuples(values).map(lambda t: f"SECRET-{t[0]}"),
        "env": st.dictionaries(texts, values.map(lambda t: f"SECRET-{t}"), max_size=2),
        "requestOptions": st.fixed_dictionaries(
            {"headers": st.dictionaries(texts, values.map(lambda t: f"SECRET-{t}"), max_size=2)}
        ),
        "extra": json_values,
    },
)
configs = st.fixed_dictionaries(
    {"name": texts},
    optional={
        "models": st.lists(st.none() | secret_places, max_size=3),
        "mcpServers": st.lists(secret_places, max_size=2),
        "rules": st.lists(texts | json_values, max_size=2),
        "other": json_values,
    },
)
raws = st.one_of(texts, st.just("models:\n  - {name: M, apiKey: '${{ secrets.X }}'}\n"), json_values.map(json.dumps))


@settings(max_examples=200)
@given(configs, raws, st.none() | texts.map(lambda text: f"https://i/{text}?sig"))
def test_any_config_survives_and_keeps_its_secret_places_hidden(config: Any, raw: str, icon: str | None) -> None:
    """Rendering gives it back exactly, with any strings. No template holds what stands in apiKey, env and headers."""
    item = asst(configResult={"config": config, "configLoadInterrupted": False}, rawYaml=raw, iconUrl=icon)
    content = one(item)
    assert (
        rendered(content, icons=dict.fromkeys([(icon or "").partition("#")[0].partition("?")[0]], icon or "")) == item
    )
    assert "SECRET-" not in kept_text(content)
    assert "SECRET-" not in render(content.template, {}, HIDDEN).decode()


@settings(max_examples=200)
@given(json_values | st.lists(json_values, max_size=2))
def test_any_json_is_taken_or_has_a_wrong_shape(reply: object) -> None:
    """Nothing else is ever raised: one bad answer must not end the pass of all."""
    for operation in (
        ops.ListAssistants(None),
        ops.ListOrganizations(),
        ops.GetPolicy(),
        secret,
        ops.GetFreeTrialStatus(),
    ):
        try:
            take(operation, reply)
        except WrongShape as error:
            assert str(error)  # noqa: PT017
        used(reply)
