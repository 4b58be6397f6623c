"""The wire's table: readable both ways, and every decision where the published document is silent."""

from __future__ import annotations

from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core import operations as ops
from hublet.core.messages import Head, Malformed
from hublet.core.questions import Fqsn, Slug

hostile = st.one_of(
    st.sampled_from(
        ["%2F", "a/b", "a b", '"', "'", "?x=1", "#f", "&=+;", "日本語", "🏭", "%", "..x", ".hidden", "a%20b"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12),
).filter(lambda text: text not in (".", ".."))
slugs = st.builds(Slug, hostile, hostile)
scopes = st.none() | hostile
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | hostile,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3),
    max_leaves=6,
)
fqsns = st.builds(Fqsn, st.lists(st.builds(Slug, hostile | st.just(""), hostile), max_size=3).map(tuple), hostile)
asked = st.one_of(fqsns.map(Fqsn.to_wire), st.dictionaries(hostile, plain, max_size=3))

strategies: dict[type, st.SearchStrategy[ops.Operation]] = {
    ops.ListAssistants: st.builds(ops.ListAssistants, scopes, st.booleans()),
    ops.GetAssistant: st.builds(ops.GetAssistant, scopes, st.booleans(), slugs),
    ops.ListOrganizations: st.just(ops.ListOrganizations()),
    ops.GetPolicy: st.just(ops.GetPolicy()),
    ops.GetFreeTrialStatus: st.just(ops.GetFreeTrialStatus()),
    ops.GetCredits: st.just(ops.GetCredits()),
    ops.GetAuthScope: st.just(ops.GetAuthScope()),
    ops.GetBlock: st.builds(ops.GetBlock, slugs, hostile),
    ops.DownloadPackage: st.builds(ops.DownloadPackage, slugs, hostile),
    ops.ListFullSlugs: st.builds(ops.ListFullSlugs, scopes),
    ops.GetCheckoutUrl: st.builds(ops.GetCheckoutUrl, st.none() | hostile, st.none() | hostile | st.just("")),
    ops.SyncSecrets: st.builds(
        ops.SyncSecrets,
        scopes,
        scopes,
        st.lists(asked.map(lambda value: orjson.dumps(value).decode()), max_size=4).map(tuple),
    ),
}


def read(method: str, target: str, body: bytes = b"") -> ops.Operation:
    head = Head(method, target)
    return ops.read(method, head.segments, head.query, body)


def sent(*fqsns: object, **scope: object) -> bytes:
    return orjson.dumps({"fqsns": fqsns, **scope})


def test_every_operation_has_a_row_and_a_strategy() -> None:
    """Whoever adds an Operation is told here what else it needs."""
    kinds = set(get_args(ops.Operation))
    assert set(strategies) == kinds
    assert len(ops.TABLE) == len(kinds)
    assert {type(ops.row_of(op)) for op in (ops.GetPolicy(), ops.ListFullSlugs(None))} == {ops.Row}


@given(st.one_of(*strategies.values()))
def test_reading_what_was_written_gives_the_operation_back(operation: ops.Operation) -> None:
    """The table's two directions are inverse, whatever slugs and scopes hold; a target is printable ASCII."""
    call = ops.write(operation)
    assert call.target.isascii()
    assert call.target.isprintable()
    assert " " not in call.target
    assert "//" not in call.target
    assert read(call.method, call.target, call.body or b"") == operation


@given(st.one_of(*strategies.values()))
def test_a_slug_never_leaves_its_segment(operation: ops.Operation) -> None:
    """A slash, a question mark or a hash in a slug can't make another path of it."""
    call = ops.write(operation)
    segments = call.target.partition("?")[0].split("/")[1:]
    assert len(segments) == len(ops.row_of(operation).path)
    assert "#" not in call.target


@given(st.one_of(*strategies.values()))
def test_head_reads_as_get_and_leading_slashes_are_folded(operation: ops.Operation) -> None:
    """The TypeScript SDK's base URL ends in a slash; HEAD asks for what GET would give."""
    call = ops.write(operation)
    method = "HEAD" if call.method == "GET" else call.method
    assert read(method, "/" + call.target, call.body or b"") == operation
    assert read(method, "///" + call.target, call.body or b"") == operation


@pytest.mark.parametrize(
    ("query", "operation"),
    [
        ("", ops.ListAssistants(None, False)),
        ("alwaysUseProxy=false", ops.ListAssistants(None, False)),
        ("alwaysUseProxy=true", ops.ListAssistants(None, True)),
        ("organizationId=", ops.ListAssistants(None, False)),
        ("organizationId=org_1", ops.ListAssistants("org_1", False)),
        ("organizationId=a%2Fb%20c", ops.ListAssistants("a/b c", False)),
        ("organizationId=a+b", ops.ListAssistants("a b", False)),
        ("unknown=1&organizationId=org_1&other", ops.ListAssistants("org_1", False)),
        ("=", ops.ListAssistants(None, False)),
    ],
)
def test_absent_and_empty_parameters_have_a_meaning(query: str, operation: ops.Operation) -> None:
    """alwaysUseProxy absent is false, an empty organizationId is none, unknown parameters are ignored."""
    assert read("GET", f"/ide/list-assistants?{query}") == operation


@pytest.mark.parametrize(
    "query",
    [
        "alwaysUseProxy=",
        "alwaysUseProxy=1",
        "alwaysUseProxy=True",
        "alwaysUseProxy=true&alwaysUseProxy=true",
        "organizationId=a&organizationId=b",
        "x=1&x=2",
        "organizationId=%ff",
        "&".join(f"p{n}={n}" for n in range(80)),
    ],
)
def test_parameters_that_make_no_sense_are_refused(query: str) -> None:
    """A guess at what a client meant would be cached under another question."""
    with pytest.raises(Malformed) as caught:
        read("GET", f"/ide/list-assistants?{query}")
    assert str(caught.value)


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("POST", "/ide/list-assistants", ("GET", "HEAD")),
        ("DELETE", "/ide/get-assistant/a/b", ("GET", "HEAD")),
        ("GET", "/ide/sync-secrets", ("POST",)),
        ("HEAD", "/ide/sync-secrets", ("POST",)),
        ("get", "/ide/policy", ("GET", "HEAD")),
    ],
)
def test_a_known_path_with_another_method_says_what_is_allowed(
    method: str, target: str, allow: tuple[str, ...]
) -> None:
    """405 with Allow; HEAD goes wherever GET goes."""
    with pytest.raises(ops.MethodNotAllowed) as caught:
        read(method, target)
    assert caught.value.allow == allow
    assert ops.is_known(Head(method, target).segments)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "",
        "/ide",
        "/ide/",
        "/ide/list-assistants/",
        "/IDE/policy",
        "/ide/get-assistant/a",
        "/ide//policy",
        "/v0/a/b",
    ],
)
def test_other_paths_are_unknown(target: str) -> None:
    """Near misses included: a path is the table's or nobody's."""
    with pytest.raises(ops.UnknownPath):
        read("GET", target)
    assert not ops.is_known(Head("GET", target).segments)


@pytest.mark.parametrize(
    "target",
    ["/ide/get-assistant/../x", "/ide/get-assistant/%2e%2E/x", "/a/./b", "/a/%00", "/a/%7f", "/%ff", "/a\tb"],
)
def test_paths_that_could_mean_another_are_refused(target: str) -> None:
    """Dot segments, control characters and what is not UTF-8, encoded or not."""
    with pytest.raises(Malformed):
        read("GET", target)


@pytest.mark.parametrize("target", ["/ide/get-assistant//x", "/ide/get-assistant/a/", "/registry/v1/a/b/"])
def test_an_empty_slug_is_refused(target: str) -> None:
    """A package has an owner, a name and a version."""
    with pytest.raises(Malformed):
        read("GET", target)


def test_an_encoded_slash_stays_inside_its_segment() -> None:
    """`%2F` is a character of the slug, not a level of the path."""
    assert read("GET", "/ide/get-assistant/a%2Fb/c%25d") == ops.GetAssistant(None, False, Slug("a/b", "c%d"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nope",
        b"\xff",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"fqsns":null}',
        b'{"fqsns":{}}',
        b'{"fqsns":[null]}',
        b'{"fqsns":["a/b/NAME"]}',
        b'{"fqsns":[[]]}',
        b'{"fqsns":[],"orgScopeId":1}',
        b'{"fqsns":[],"orgScopeSlug":["x"]}',
        b'{"fqsns":[NaN]}',
        b'{"fqsns":[{"a":' + b"[" * 400 + b"]" * 400 + b"}]}",
    ],
)
def test_a_body_that_is_no_list_of_names_is_refused(body: bytes) -> None:
    """Not JSON, wrong types, elements that are no objects, nesting without end: one sentence, never a traceback."""
    with pytest.raises(Malformed):
        read("POST", "/ide/sync-secrets", body)


def test_the_body_is_json_whatever_its_type_says() -> None:
    """IDEs post it as text/plain: no reading of the table ever sees a Content-Type."""
    name = {"packageSlugs": [{"ownerSlug": "a", "packageSlug": "b"}], "secretName": "N"}
    operation = read("POST", "/ide/sync-secrets", sent(name, {"odd": 1}, orgScopeId="org_1", orgScopeSlug="acme"))
    assert isinstance(operation, ops.SyncSecrets)
    assert (operation.scope, operation.scope_slug) == ("org_1", "acme")
    assert operation.fqsns == (Fqsn((Slug("a", "b"),), "N"), None)


@pytest.mark.parametrize(
    "scope", [{}, {"orgScopeId": None}, {"orgScopeId": ""}, {"orgScopeId": "", "orgScopeSlug": ""}]
)
def test_an_empty_scope_is_the_personal_one(scope: dict[str, object]) -> None:
    """Null, empty and absent mean the same."""
    assert read("POST", "/ide/sync-secrets", sent(**scope)) == ops.SyncSecrets(None, None, ())


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"packageSlugs": [], "secretName": 1},
        {"packageSlugs": {}, "secretName": "N"},
        {"packageSlugs": ["a/b"], "secretName": "N"},
        {"packageSlugs": [{"ownerSlug": "a"}], "secretName": "N"},
        {"packageSlugs": [{"ownerSlug": "a", "packageSlug": None}], "secretName": "N"},
    ],
)
def test_a_name_of_another_shape_is_none_but_keeps_its_place(wire: dict[str, object]) -> None:
    """Length and order of the client's array survive what can't be read."""
    good = Fqsn((), "N")
    operation = read("POST", "/ide/sync-secrets", sent(wire, good.to_wire(), wire))
    assert isinstance(operation, ops.SyncSecrets)
    assert operation.fqsns == (None, good, None)
    assert [orjson.loads(text) for text in operation.asked] == [wire, good.to_wire(), wire]


def test_secrets_are_asked_in_one_request_with_their_names_as_objects() -> None:
    """What goes to the Hub is what a client would send."""
    call = ops.write(ops.SyncSecrets.of("org_1", (Fqsn((Slug("", ""), Slug("a", "b")), "N"),)))
    assert (call.method, call.target) == ("POST", "/ide/sync-secrets")
    slugs_ = [{"ownerSlug": "", "packageSlug": ""}, {"ownerSlug": "a", "packageSlug": "b"}]
    assert orjson.loads(call.body or b"") == {
        "fqsns": [{"packageSlugs": slugs_, "secretName": "N"}],
        "orgScopeId": "org_1",
    }
