"""Our YAML and our unrolling against Continue's own (config-yaml 1.42.0, yaml 2.9.1): the same, or both refuse.

What may differ is listed in `the_same` and in the docstrings of core/yaml12, core/unrolling and core/configschema.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hublet.core import configschema, yamlwrite
from hublet.demo.data import Organization, World, sample_world
from hublet.demo.lookup import resolve
from tests.clients.config_grammar import cases
from tests.clients.config_yaml import Case, Theirs, continues_own, ours, ours_checked, ours_read, plain, registry, same

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

CONFIGS = "HUBLET_TEST_CONFIGS"
_MANY = settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def theirs(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    with continues_own(node_modules, tmp_path_factory.mktemp("config-yaml")) as process:
        yield process


def the_same(one: Any, other: Any) -> bool:
    """Equal, errors word for word, in any order; of a text that is no YAML only that it is none."""
    if "error" in one and "error" in other:
        syntax = " at line " in one["error"] or "Unresolved alias" in one["error"] or "Excessive" in one["error"]
        return syntax or sorted(one["error"].split(", ")) == sorted(other["error"].split(", "))
    # Of an injected block that fails theirs says `[object Object]`; ours says which.
    for mine, said in zip(other.get("errors", ()), one.get("errors", ()), strict=False):
        if said["message"].endswith("\n> [object Object]"):
            mine["message"] = mine["message"].rpartition("\n> ")[0] + "\n> [object Object]"
    return same(one, other)


def with_secrets(theirs: Theirs, case: Case, found: Any) -> Case:
    """A case whose secrets are known: what is asked for, asked once in vain."""
    asked = theirs.unroll(replace(case, secrets={})).get("asked", []) if case.render else []
    return replace(case, secrets={name: result for name in asked if (result := found(name)) is not None})


def somewhere(name: str) -> Any:
    """Every kind of place, by what a name looks like."""
    secret, slug = name.rpartition("/")[2], {"ownerSlug": "a", "packageSlug": "b"}
    kinds = (
        {"found": True, "value": "canary-value", "secretLocation": {"secretType": "user", "userSlug": "dana"}},
        {"found": True, "secretLocation": {"secretType": "organization", "orgSlug": "acme"}},
        {"found": True, "secretLocation": {"secretType": "package", "packageSlug": slug}},
        {"found": True, "secretLocation": {"secretType": "models_add_on", "blockSlug": slug}},
        {"found": False, "secretLocation": {"secretType": "not_found"}},
        None,
    )
    kind: Any = kinds[sum(name.encode()) % len(kinds)]
    return kind and {**kind, "secretLocation": {**kind["secretLocation"], "secretName": secret}}


def scopes(world: World) -> list[Organization | None]:
    return [None, *world.organizations.values()]


@pytest.mark.parametrize("slug", sample_world().sources)
def test_the_demos_assistants_unroll_the_same(theirs: Theirs, slug: str) -> None:
    """In every scope; with values, by proxy, and not rendered."""
    world = sample_world()
    for org in scopes(world):
        case = Case(world.sources[slug], slug, registry(world))
        if org is not None:
            case = replace(case, scope=org.id, proxy=org.on_prem_proxy_url)

        def found(name: str, org: Organization | None = org) -> Any:
            *path, secret = name.split("/")
            return resolve(world, list(zip(path[::2], path[1::2], strict=True)), secret, org)

        case = with_secrets(theirs, case, found)
        for each in (case, replace(case, proxied=True), replace(case, render=False)):
            assert the_same(theirs.unroll(each), ours(each))


_WRONG = ("x", "", 1, 0, -1, 0.5, True, None, [], ["x"], [1], [["a", "b"]], [["a", 1], []], {}, {"k": "v"}, {"k": 1})
"""Tried in every place; what is right in one is wrong in another."""

_BASES: dict[str, list[dict[str, Any]]] = {
    "models": [
        {"name": "M", "provider": "openai", "model": "m"},
        {"name": "M", "provider": "continue-proxy", "model": "m", "orgScopeId": None, "onPremProxyUrl": None},
        {"uses": "acme/model"},
    ],
    "context": [{"provider": "code"}, {"uses": "acme/context"}],
    "data": [{"name": "D", "destination": "d", "schema": "0.2.0"}, {"uses": "acme/data"}],
    "mcpServers": [{"name": "S", "command": "c"}, {"name": "S", "url": "u"}, {"uses": "acme/mcp"}],
    "prompts": [{"name": "P", "prompt": "p"}, {"uses": "acme/prompt"}],
    "docs": [{"name": "D", "startUrl": "s"}, {"uses": "acme/docs"}],
    "rules": [{"name": "R", "rule": "r"}, {"uses": "acme/rule"}],
}
_OUR_WORDS = sorted(
    {
        word
        for node in ast.walk(ast.parse(inspect.getsource(configschema)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in re.findall(r"[\w.-]+", node.value)
    }
)
"""Every word of our own schema: one that theirs does not know shows where only some words may stand."""
_NEEDED = {"clientCertificate": {"cert": "c", "key": "k"}}


def _put(place: Any, path: list[Any], value: Any) -> Any:
    """A value with another one at a path; what is missing on the way is made."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        return [*["a"] * first, _put({}, rest, value)]
    key = "k" if first == "*" else first
    inner = place.get(key, {}) if isinstance(place, dict) else {}
    return {**(place if isinstance(place, dict) else {}), key: _put(_NEEDED.get(key, inner), rest, value)}


def test_every_field_takes_and_refuses_the_same(theirs: Theirs) -> None:
    """Each place that their schema knows, with values of every kind, in one batch: what is kept of a config, and word
    for word what is wrong with it."""
    head = {"name": "N", "version": "1.0.0"}
    values: list[Any] = []
    for field in theirs.fields():
        path, words = field["path"], field["words"]
        for value in (*words, *(_OUR_WORDS if words else ()), *_WRONG):
            if path[:1] and path[0] in _BASES and len(path) > 1:
                values += [head | {path[0]: [_put(base, path[2:], value)]} for base in _BASES[path[0]]]
            else:
                values.append(_put(head, path, value))
    assert len(values) > 5000
    both = [(value, one, ours_checked(value)) for value, one in zip(values, theirs.check(values), strict=True)]
    assert [each for each in both if not same(each[1], each[2])][:3] == []
    accepted = sum("ok" in one for _, one, _ in both)
    assert accepted > 1000
    assert len(both) - accepted > 1000


@pytest.mark.skipif(CONFIGS not in os.environ, reason=f"no real configs: {CONFIGS} names no folder of them")
def test_real_configs_unroll_the_same(theirs: Theirs) -> None:
    """As registry packages and as files, of which a broken one is an error and no rule."""
    paths = sorted(Path(os.environ[CONFIGS]).iterdir())
    assert paths
    for path in paths:
        text = path.read_bytes().decode()
        assert the_same(theirs.read(text), ours_read(text)), path.name
        for name in ("dana/asst", f"/home/dana/{path.name}"):
            case = Case(text, name, registry(sample_world()))
            assert the_same(theirs.unroll(case), ours(case)), path.name


counted: Counter[str] = Counter()


@given(case=cases)
@settings(_MANY, max_examples=1000)
def made_up_configs_unroll_the_same(theirs: Theirs, case: Case) -> None:
    case = with_secrets(theirs, case, somewhere)
    unrolled = theirs.unroll(case)
    counted["sound" if "config" in unrolled else "refused"] += 1
    assert the_same(unrolled, ours(case))


def test_made_up_configs_unroll_the_same(theirs: Theirs) -> None:
    """At least 500 that are configs in the end, and some that are refused."""
    counted.clear()
    made_up_configs_unroll_the_same(theirs)
    assert counted["sound"] >= 500
    assert counted["refused"] >= 50


_scalars = st.one_of(
    st.text("0123456789+-.:_eExXoOinfaINFAyYnNtrueTRUElsbfd~ ", max_size=8),
    st.from_regex(r"[-+]?(0[xob]?)?[0-9_]*(\.[0-9]*)?([eE][-+]?[0-9]+)?(:[0-5]?[0-9])*", fullmatch=True),
    st.sampled_from(
        [
            "on",
            "off",
            "yes",
            "No",
            "Y",
            "n",
            "~",
            "null",
            "NULL",
            "012",
            "0o17",
            "0x1F",
            "1e3",
            ".5",
            "5.",
            ".inf",
            "-.INF",
            ".NaN",
            "<<",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)


@given(text=_scalars, rules=st.sampled_from(["", "%YAML 1.1\n---\n", "%YAML 1.2\n---\n"]))
@_MANY
def test_scalars_mean_the_same(theirs: Theirs, text: str, rules: str) -> None:
    """As value and as key, by both sets of rules. A date under 1.1 is refused here; there it is no text either."""
    for document in (f"{rules}a: {text}", f"{rules}{text}: a", f"{rules}- {text}\n- x"):
        one, other = theirs.read(document), ours_read(document)
        alike = "error" in one if "error" in other else same(one, other)
        refused = other.get("error", "")
        stricter = refused in KNOWN_REFUSALS or " at line " in refused
        assert alike or stricter or one.get("error", "").startswith(THEIRS_ALONE), (document, one, other)


KNOWN_REFUSALS = ("it holds a date that is not quoted", "a key is a list or a mapping")
"""Besides what libyaml does not take for YAML: it allows fewer tabs, no empty key, and less around a `?`."""


THEIRS_ALONE = ("Comments must be separated", "Could not resolve tag", "The !", "Implicit keys need", "Block scalar")
"""What only theirs refuses: comments stuck to another token, broken tags, a key or block scalar out of its place."""

_values = st.recursive(
    st.one_of(_scalars, st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats()),
    lambda child: st.one_of(st.lists(child, max_size=3), st.dictionaries(_scalars, child, max_size=3)),
    max_leaves=10,
)


@given(value=_values)
@_MANY
def test_what_is_written_is_read_back(theirs: Theirs, value: Any) -> None:
    """By their reader and by ours, whatever the texts in it look like."""
    text = yamlwrite.dump(value)
    assert same(theirs.read(text).get("ok"), plain(value)), text
    assert same(ours_read(text).get("ok"), plain(value)), text
