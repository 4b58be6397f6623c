"""Questions and their canonical text: one text each, read back exactly, everything else refused."""

from __future__ import annotations

from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core import questions as q

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scopes = st.none() | text
slugs = st.builds(q.Slug, text, text)
fqsns = st.builds(q.Fqsn, st.lists(slugs, max_size=3).map(tuple), text)
by_kind: dict[type, st.SearchStrategy[q.Question]] = {
    q.Assistant: st.builds(q.Assistant, scopes, st.booleans(), slugs),
    q.Roster: st.builds(q.Roster, scopes, st.booleans()),
    q.Organizations: st.just(q.Organizations()),
    q.Policy: st.just(q.Policy()),
    q.FreeTrial: st.just(q.FreeTrial()),
    q.Credits: st.just(q.Credits()),
    q.AuthScope: st.just(q.AuthScope()),
    q.Block: st.builds(q.Block, slugs, text),
    q.Download: st.builds(q.Download, slugs, text),
    q.Secret: st.builds(q.Secret, scopes, fqsns),
    q.Proposed: st.builds(q.Proposed, scopes, st.booleans(), slugs),
    q.Pinned: st.builds(q.Pinned, scopes, st.booleans(), slugs),
    q.Everything: st.just(q.Everything()),
    q.Icon: st.builds(q.Icon, text),
}
questions = st.one_of(*by_kind.values())


def test_every_kind_of_question_is_tried_here() -> None:
    """Kinds are distinct texts: records of one can't be taken for another's."""
    kinds = get_args(q.Question)
    assert set(by_kind) == set(kinds)
    assert len({kind.kind for kind in kinds}) == len(kinds)


@given(questions)
def test_a_question_is_read_back_from_its_text(question: q.Question) -> None:
    """`from_text` is the inverse of `to_text`; the kind comes first."""
    written = q.to_text(question)
    assert q.from_text(written) == question
    assert orjson.loads(written)[0] == question.kind


@given(questions, questions)
def test_two_questions_never_share_a_text(one: q.Question, other: q.Question) -> None:
    """The store's record id is made of it: `a/b` + `c` and `a` + `b/c` are two."""
    assert (one == other) == (q.to_text(one) == q.to_text(other))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["assistant", "secret", "policy", "icon", "ab"]) | text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=2),
    max_leaves=8,
)


@given(junk.map(lambda value: orjson.dumps(value, default=str) if not _too_large(value) else b"0"))
def test_only_what_to_text_writes_is_read(written: bytes) -> None:
    """Whatever JSON it is: a Question whose text is that JSON, or ValueError, nothing else."""
    try:
        question = q.from_text(written.decode())
    except ValueError:
        return
    assert orjson.loads(q.to_text(question)) == orjson.loads(written)


def _too_large(value: object) -> bool:
    match value:
        case bool():
            return False
        case int():
            return not -(2**63) <= value < 2**64
        case list():
            return any(map(_too_large, value))
        case dict():
            return any(map(_too_large, value.values()))
    return False


@pytest.mark.parametrize(
    "written",
    [
        *("", "x", "[]", "{}", "null", '["policy",1]', '["unknown"]', '["roster",null]', '["roster",1,true]'),
        *('["roster",null,1]', '["secret",null,["ab"],"n"]', '["secret",null,[5],"n"]', '["secret",null,[[1,2]],"n"]'),
        *('["icon",null]', '["assistant",null,"true","a","b"]', '["block","a","b"]'),
    ],
)
def test_other_texts_are_no_question(written: str) -> None:
    """Wrong kinds, lengths and types, each ValueError."""
    with pytest.raises(ValueError, match=r"\w"):
        q.from_text(written)


@pytest.mark.parametrize("written", ["", "/", "a", "a/", "/b", "a/b/c", "a//b"])
def test_a_slug_is_an_owner_and_a_package(written: str) -> None:
    """Nothing else parses."""
    with pytest.raises(ValueError, match="owner/package"):
        q.Slug.parse(written)


def test_a_slug_and_a_secrets_name_show_as_the_hub_writes_them() -> None:
    """`owner/package`, and `o1/p1/o2/p2/NAME`; a file of the client's own has two empty parts."""
    assert q.Slug.parse("a/b@1") == q.Slug("a", "b@1")
    assert str(q.Fqsn((q.Slug("", ""), q.Slug("a", "b")), "N")) == "//a/b/N"


@given(fqsns)
def test_a_secrets_name_survives_the_wire(fqsn: q.Fqsn) -> None:
    """`from_wire` is the inverse of `to_wire`, through JSON."""
    assert q.Fqsn.from_wire(orjson.loads(orjson.dumps(fqsn.to_wire()))) == fqsn
