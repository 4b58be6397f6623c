"""The document by itself: valid, complete, the same every time; schemas that take what is right and refuse the rest."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from hublet.core import operations as ops
from hublet.core.messages import Head
from hublet.core.passthrough import RULES
from hublet.core.questions import Slug
from hublet.core.split import WrongShape, split
from hublet.describe import document as described
from hublet.describe.endpoints import OPERATIONS, OWN
from hublet.serve import admission, telling
from tests.describe.holding import DOCUMENT, component, path_of

NAMES = described.names()


def test_the_document_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_every_operation_is_described_and_nothing_else_is() -> None:
    """A row of the table without a description is an endpoint that nobody is told of."""
    kinds = [each.kind for each in OPERATIONS]
    assert sorted(kind.__name__ for kind in kinds) == sorted(kind.__name__ for kind in get_args(ops.Operation))
    assert {ops.row_for(kind).path for kind in kinds} == {row.path for row in ops.TABLE}
    for each in OPERATIONS:
        assert len(each.arguments) == ops.row_for(each.kind).path.count(ops.Row.wildcard)
        assert each.body is None or each.body in NAMES
        assert each.asks is None or each.asks in NAMES


def test_every_path_that_is_answered_is_in_the_document_and_the_other_way_round() -> None:
    """Of the Hub's, hublet's own, and what is passed through."""
    own = {each.path for each in OWN}
    served = {"/" + "/".join(path) for path in telling.PATHS} | set(admission._OPEN)
    assert own == served | {f"{admission._PROOF}{{nonce}}", f"{admission._ICONS}{{name}}"}
    for path, operations in DOCUMENT["paths"].items():
        segments = Head("GET", path.replace("{", "").replace("}", "")).segments
        known = path in own or ops.is_known(segments)
        for method in operations:
            passes = any(rule.matches(segments) and method.upper() in rule.methods for rule in RULES)
            assert known or passes, f"{method} {path} is answered by nobody"
    for row in ops.TABLE:
        path = path_of("/" + "/".join("x" if part == row.wildcard else part for part in row.path))
        assert path is not None
        assert row.method.lower() in DOCUMENT["paths"][path]
    for rule in RULES:
        for tail in ([], ["a"]) if rule.path[-1] == "**" else ([],):
            path = path_of("/" + "/".join([*(part for part in rule.path if part != "**"), *tail]).replace("*", "x"))
            assert path is not None
            assert {method.lower() for method in rule.methods} <= set(DOCUMENT["paths"][path])


def test_open_paths_need_no_identity_and_all_others_do() -> None:
    for each in OWN:
        open_ = each.path in admission._OPEN or each.path.startswith((admission._PROOF, admission._ICONS))
        assert each.open is open_
        assert (DOCUMENT["paths"][each.path]["get"]["security"] == []) is open_


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_stands_by_itself_and_takes_its_sample(name: str) -> None:
    """2020-12 by its meta-schema; no reference leads out of it; in the document it takes the sample too."""
    schema = described.schema(name)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(described.sample(name))
    assert schema["examples"] == [described.sample(name)]
    assert "#/components" not in json.dumps(schema)
    component(name).validate(described.sample(name))


def test_every_schema_is_used() -> None:
    text = json.dumps(DOCUMENT["paths"]) + json.dumps(DOCUMENT["components"])
    unused = {name for name in NAMES if f'"#/components/schemas/{name}"' not in text}
    assert unused == {"Event"}, "of an event stream only the text has a type"


def test_the_same_version_gives_the_same_bytes() -> None:
    """In another process, with another seed of its hashes."""
    code = "from hublet.describe.document import served; import sys; sys.stdout.buffer.write(served())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env={"PYTHONHASHSEED": "7"}, check=True)
    assert done.stdout == described.served()


def test_the_daemon_starts_without_it() -> None:
    code = "import sys, hublet.daemon; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hublet.describe" not in done.stdout.split()


# Schemas that can fail

OTHERS: tuple[Any, ...] = (None, True, 7, -1, 1.5, "text", "", [], {}, [None], {"a": 1})


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each part of a JSON value, the whole included."""
    found = [way]
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += places(value[key], (*way, key))
    return found


def mutated(value: Any, way: tuple[Any, ...], new: Any) -> Any:
    """The value with another one at a place; without it when `new` is the class `Ellipsis`' only value."""
    if not way:
        return new
    value = copy.deepcopy(value)
    node = value
    for key in way[:-1]:
        node = node[key]
    if new is ...:
        del node[way[-1]]
    else:
        node[way[-1]] = new
    return value


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Document"])
def test_a_body_of_another_type_is_refused(name: str) -> None:
    """Whatever of another type stands in its place; and of its sample some mutation is."""
    check, sample = component(name), described.sample(name)
    kind = dict if isinstance(sample, dict) else list
    assert not any(check.is_valid(other) for other in OTHERS if not isinstance(other, kind))
    spoilt = [mutated(sample, way, other) for way in places(sample) for other in (*OTHERS, ...) if way]
    spoilt += [{**sample, "message": "Unauthorized"}] if isinstance(sample, dict) else []
    refused = sum(not check.is_valid(value) for value in spoilt)
    assert refused > 0


@pytest.mark.parametrize("name", ["Status", "Event", "Message", "Alive", "Ready", "Scope", "FullSlugs"])
def test_hublets_own_bodies_hold_nothing_that_is_not_described(name: str) -> None:
    """No key more; and each that is always there is missed."""
    check, sample = component(name), described.sample(name)
    assert isinstance(sample, dict)
    assert not check.is_valid({**sample, "more": 1})
    optional = {"Ready": {"age"}, "Message": {"hint"}}.get(name, set())
    for key in sample:
        assert check.is_valid(mutated(sample, (key,), ...)) is (key in optional), key


HUBS: dict[str, ops.Operation] = {
    "Assistants": ops.ListAssistants(None),
    "Assistant": ops.GetAssistant(None, False, Slug("acme", "chat")),
    "Organizations": ops.ListOrganizations(),
    "Policy": ops.GetPolicy(),
    "FreeTrialStatus": ops.GetFreeTrialStatus(),
    "Credits": ops.GetCredits(),
    "AuthScope": ops.GetAuthScope(),
    "Block": ops.GetBlock(Slug("acme", "chat"), "latest"),
}


def test_what_is_kept_of_the_hub_fits_its_schema() -> None:
    """The schema refuses nothing that hublet would keep and hand on, however odd: it promises no more than is known."""
    tried = {"taken": 0, "refused": 0}
    other = st.one_of(
        st.sampled_from(OTHERS),
        st.just(...),
        st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=3),
    )

    @settings(max_examples=400, deadline=None)
    @given(data=st.data())
    def hold(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(HUBS)))
        sample: Any = described.sample(name)
        for _ in range(data.draw(st.integers(1, 3))):
            way = data.draw(st.sampled_from(places(sample)))
            new = data.draw(other)
            sample = mutated(sample, way, new) if way or new is not ... else sample
        try:
            split(HUBS[name], sample, mark="@mark:0123456789abcdef:")
        except WrongShape:
            tried["refused"] += 1
            return
        tried["taken"] += 1
        component(name).validate(sample)

    hold()
    assert min(tried.values()) > 20, tried
