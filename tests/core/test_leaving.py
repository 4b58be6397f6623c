"""What is left of an assistant without the Hub: direct models, names for secrets, whom to ask for what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core import operations as ops
from hublet.core.leaving import WITHHELD, Leaving, Names, leave
from hublet.core.questions import Assistant, Slug
from hublet.core.records import Content, Template
from hublet.core.secretstr import SecretStr
from hublet.core.split import split
from hublet.demo.data import ACME, DEMO_KEY, ORGANIZATION_SECRETS, USER_SECRETS
from hublet.demo.hub import Hub

SLUG = Slug("acme", "dev")


def content(config: Any, errors: Any = None) -> Content:
    return Content(Template(json.dumps({"configResult": {"config": config, "errors": errors}}).encode()))


def model(**keys: Any) -> Leaving:
    proxied = {"name": "M", "provider": "continue-proxy", "model": "acme/dev/openai/gpt-4.1/mini", "orgScopeId": None}
    return leave(content({"name": "Dev", "models": [proxied | keys]}), SLUG, Names())


def only(left: Leaving) -> Any:
    assert left.config is not None
    models: Any = left.config["models"]
    return models[0]


def demo(scope: str | None) -> dict[str, Content]:
    """The demo Hub's assistants in a scope, taken apart as a pass does it."""
    call = ops.write(ops.ListAssistants(scope))
    reply = Hub("http://hub").respond("GET", call.target, {"authorization": f"Bearer {DEMO_KEY}"}, b"")
    facts = split(ops.ListAssistants(scope), reply.json(), mark="@mark:0123456789abcdef:").facts
    return {str(f.question.slug): f.content for f in facts if isinstance(f.question, Assistant)}


def test_a_proxied_model_becomes_the_one_its_author_wrote() -> None:
    left = model(apiKeyLocation="organization:acme/KEY", onPremProxyUrl=None, roles=["chat"])
    key = "${{ secrets.KEY }}"
    assert only(left) == {
        "name": "M", "provider": "openai", "model": "gpt-4.1/mini", "roles": ["chat"], "apiKey": key,
    }  # fmt: skip


def test_the_secrets_of_its_environment_are_told_by_their_places() -> None:
    left = model(env={"region": "eu"}, envSecretLocations={"secretAccessKey": "organization:acme/AWS"})
    assert only(left)["env"] == {"region": "eu", "secretAccessKey": "${{ secrets.AWS }}"}


@pytest.mark.parametrize(
    ("place", "whose"),
    [
        ("organization:acme/KEY", "ask the organization acme"),
        ("package:acme/block/KEY", "ask the owner of acme/block"),
        ("models_add_on:openai/gpt/KEY", "only the Hub has it: get one of your own from openai"),
        ("free_trial:openai/gpt/KEY", "only the Hub has it: get one of your own from openai"),
        ("user:dana/KEY", "yours, but its value is not in the cache"),
        ("not_found:KEY", "the Hub knows no secret of this name"),
    ],
)
def test_who_has_a_missing_key_is_said(place: str, whose: str) -> None:
    left = model(apiKeyLocation=place)
    assert left.standing == "needs a key"
    assert [(one.name, one.whose) for one in left.variables] == [("KEY", whose)]


def test_a_key_of_the_users_own_is_known_by_its_name() -> None:
    proxied = {"name": "M", "provider": "continue-proxy", "model": "a/b/c/d", "apiKeyLocation": "user:dana/KEY"}
    left = leave(content({"models": [proxied]}), SLUG, Names(), {"KEY": SecretStr("value")})
    assert left.standing == "with a key"
    assert left.variables[0].value == SecretStr("value")


def test_an_assistant_is_as_good_as_its_models_and_mcp_servers() -> None:
    model = {"name": "M", "provider": "ollama"}
    missing = "${{ secrets.organization:acme/KEY }}"
    server = {"name": "S", "command": "x", "env": {"KEY": missing}}
    assert leave(content({"models": [model], "rules": [missing]}), SLUG, Names()).standing == "works"
    assert leave(content({"models": [model], "mcpServers": [server]}), SLUG, Names()).standing == "needs a key"


def test_a_value_that_may_not_be_shown_is_told_from_one_that_nobody_has() -> None:
    """It is not put in by another way either: a secret of the user's with the same name does not take its place."""
    key = "${{ secrets.KEY }}"
    found = content({"models": [{"name": "M", "provider": "openai", "apiKey": key}]})
    known = {"KEY": SecretStr("value")}
    assert leave(found, SLUG, Names(), known).standing == "with a key"
    left = leave(found, SLUG, Names(), known, frozenset({"KEY"}))
    assert (left.standing, left.variables[0].whose) == ("needs a key", WITHHELD)


@pytest.mark.parametrize("text", ["", "a", "a/b/c", "a/b//d", None, 7])
def test_a_model_whose_provider_only_the_hub_knows_cant_work(text: object) -> None:
    assert model(model=text).standing == "can't work"


def test_what_the_hub_could_not_load_is_not_there() -> None:
    left = leave(content(None, [{"fatal": True, "message": "no\nYAML"}]), SLUG, Names())
    assert (left.config, left.standing, left.notes) == (None, "can't work", ("no YAML",))


def test_a_block_that_failed_leaves_no_null() -> None:
    left = leave(content({"models": [None, {"name": "M", "provider": "ollama"}], "docs": None}), SLUG, Names())
    assert left.config == {
        "name": "acme/dev", "version": "0.0.1", "schema": "v1", "models": [{"name": "M", "provider": "ollama"}],
    }  # fmt: skip


def test_two_secrets_of_one_name_get_two_names_and_the_same_one_one() -> None:
    names, one, two = Names(), SecretStr("1"), SecretStr("2")
    assert names.name("KEY", SLUG, one) == "KEY"
    assert names.name("acme/block/KEY", SLUG, one) == "KEY"
    assert names.name("KEY", SLUG, two) == "ACME_DEV_KEY"
    assert names.name("other/KEY", SLUG, SecretStr("3")) == "ACME_DEV_KEY_2"
    assert names.name("KEY", Slug("x", "y"), two) == "X_Y_KEY"
    assert names.name("unnamed/config/models/0/apiKey", SLUG, one) == "ACME_DEV_CONFIG_MODELS_0_APIKEY"


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.integers(0, 3)), max_size=12))
def test_names_can_stand_in_an_env_file_and_never_mean_two_things(asked: list[tuple[str, int]]) -> None:
    names, meant = Names(), {}
    for text, what in asked:
        name = names.name(text, SLUG, what)
        assert name.isascii()
        assert name.isidentifier()
        assert meant.setdefault(name, what) == what


def test_no_value_of_the_demo_stands_in_what_is_left() -> None:
    """But where the Hub gives the value, the name of the secret has it."""
    names = Names()
    for scope in (None, ACME):
        for slug, found in demo(scope).items():
            left = leave(found, Slug.parse(slug), names)
            text = json.dumps(left.config, ensure_ascii=False)
            for value in (*USER_SECRETS.values(), *ORGANIZATION_SECRETS[ACME].values()):
                assert value not in text, slug
            assert "continue-proxy" not in text
            assert "apiKeyLocation" not in text
    values = {name: one for name, one in names.taken.items() if isinstance(one, SecretStr)}
    assert values["ANTHROPIC_API_KEY"].reveal() == USER_SECRETS["ANTHROPIC_API_KEY"]
