"""Records: templates, bindings and their two renderings; frames; what is unreadable is StoreCorrupt."""

from __future__ import annotations

import copy
import pickle

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core import questions as q
from hublet.core.errors import StoreCorrupt
from hublet.core.records import (
    Content,
    Fact,
    Hole,
    Known,
    Record,
    Template,
    View,
    Withdrawn,
    content_from_header,
    content_to_header,
    decode_known,
    encode_known,
    frame,
    reference,
    render,
    unframe,
)
from hublet.core.secretstr import SecretStr

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = text.filter(bool)
questions = st.one_of(
    st.builds(q.Assistant, st.none() | text, st.booleans(), st.builds(q.Slug, text, text)),
    st.builds(q.Secret, st.none() | text, st.builds(q.Fqsn, st.just(()), text)),
    st.just(q.Policy()),
)
times = st.floats(0, 4e9)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """A template of a few pieces with a hole between each two, and a binding for each secret."""
    bindings = draw(st.dictionaries(names, text.map(SecretStr), max_size=4))
    template, holes = draw(text).encode(), []
    for name in draw(st.lists(st.sampled_from(sorted(bindings)), max_size=4)) if bindings else []:
        holes.append(Hole(len(template), "secret", name))
        template += draw(text).encode()
    if draw(st.booleans()):
        holes.append(Hole(len(template), "icon", draw(text)))
    return Content(Template(template, tuple(holes)), bindings, draw(st.dictionaries(names, text, max_size=2)))


knowns: st.SearchStrategy[Known] = st.one_of(
    st.builds(Record, contents(), questions, times), st.builds(Withdrawn, st.integers(400, 499), text, times)
)


@given(questions, knowns)
def test_what_is_sealed_is_read_back(question: q.Question, known: Known) -> None:
    """`decode_known` is the inverse of `encode_known`, and says which Question the record is of."""
    assert decode_known(question.kind, encode_known(question, known)) == (question, known)


@given(contents())
def test_a_content_is_read_back_from_its_header_and_text(content: Content) -> None:
    """How the worker hands it over."""
    header = orjson.loads(orjson.dumps(content_to_header(content)))
    assert content_from_header(header, content.template.text) == content


@given(questions, knowns)
def test_a_record_of_another_kind_is_corrupt(question: q.Question, known: Known) -> None:
    """A record that was moved to another kind's place is not believed, whatever its seal says."""
    with pytest.raises(StoreCorrupt):
        decode_known("organizations", encode_known(question, known))


@given(st.dictionaries(text, text, max_size=3), st.binary(max_size=40))
def test_a_frame_is_taken_apart_again(header: dict[str, str], blob: bytes) -> None:
    """Header and blob, to the byte."""
    assert unframe(frame(header, blob)) == (header, blob)


@given(st.binary(max_size=64))
def test_bytes_that_are_no_record_are_corrupt(data: bytes) -> None:
    """Never another exception: the Question is unknown then, and serving goes on."""
    with pytest.raises(StoreCorrupt):
        decode_known("policy", data)


good = {"question": '["policy"]', "source": '["policy"]', "changed_at": 1.0, "holes": [], "bindings": {}, "traits": {}}


@pytest.mark.parametrize(
    "header",
    [
        [],
        {},
        good | {"question": '["nothing"]'},
        good | {"source": "["},
        good | {"changed_at": "now"},
        good | {"holes": [5]},
        good | {"holes": [[0, "secret"]]},
        good | {"holes": [["0", "secret", "N"]]},
        good | {"holes": [[0, "other", "N"]]},
        good | {"bindings": None},
        {"question": '["policy"]', "withdrawn": [404]},
        {"question": '["policy"]', "withdrawn": ["404", "m", 1.0]},
    ],
)
def test_a_header_that_is_not_a_records_is_corrupt(header: object) -> None:
    """Each field is looked at, not only the first."""
    assert decode_known("policy", frame(good))[0] == q.Policy()
    with pytest.raises(StoreCorrupt):
        decode_known("policy", frame(header))


@pytest.mark.parametrize("cut", [0, 3, 5, 10])
def test_a_frame_that_was_cut_off_is_refused(cut: int) -> None:
    """A length that promises more than there is."""
    with pytest.raises(ValueError, match=r"frame|JSON|unexpected|input"):
        unframe(frame({"a": "b"})[:cut])


def sample() -> Content:
    """`{"key": "Bearer <value>", "icon": "<url>", "note": "x"}` with its value cut out."""
    parts = (b'{"key":"Bearer ', b'","icon":"', b'","note":"x"}')
    first, second = len(parts[0]), len(parts[0]) + len(parts[1])
    holes = (Hole(first, "secret", "NAME"), Hole(second, "icon", "https://i/1.png"))
    return Content(Template(b"".join(parts), holes), {"NAME": SecretStr('quo"te\n鍵')})


def shown(content: Content, *, clear: bool) -> object:
    view = View(clear, lambda url: f"http://localhost/{url[-5:]}")
    return orjson.loads(render(content.template, content.bindings, view))


def test_the_owner_sees_values_and_everybody_else_references() -> None:
    """Both are JSON, whatever characters a value has; icons get their address in both."""
    icon = {"icon": "http://localhost/1.png", "note": "x"}
    assert shown(sample(), clear=True) == {"key": 'Bearer quo"te\n鍵', **icon}
    assert shown(sample(), clear=False) == {"key": "Bearer ${{ secrets.NAME }}", **icon}
    assert reference("NAME") == "${{ secrets.NAME }}"


def test_rendering_without_values_needs_no_bindings() -> None:
    """History keeps templates only: they can be shown when every value is gone."""
    content = sample()
    assert b"secrets.NAME" in render(content.template, {}, View(False, str))
    with pytest.raises(KeyError):
        render(content.template, {}, View(True, str))


def test_a_template_without_holes_is_its_text() -> None:
    """Not a copy: big bodies are not doubled."""
    template = Template(b'{"a":1}')
    assert render(template, {}, View(True, str)) is template.text


@given(text.filter(lambda value: len(value) > 3 and "*" not in value and value not in "SecretStr(**********)"))
def test_a_secret_string_shows_itself_nowhere(value: str) -> None:
    """Not in repr, str, format, a traceback's arguments, a pickle, or what holds it."""
    secret = SecretStr(f"canary-{value}")
    content = Content(Template(b"{}"), {"NAME": secret})
    fact = Fact(q.Policy(), content)
    record = Record(content, q.Policy(), 0.0)
    seen = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", "%s" % secret, repr(fact), repr(record)]  # noqa: UP031
    seen += [repr(ValueError(secret)), repr([secret]), str({"a": secret})]
    assert not [each for each in seen if "canary" in each]
    assert b"canary" not in pickle.dumps(secret)
    assert b"canary" not in pickle.dumps(record)
    assert secret.reveal() == f"canary-{value}"


def test_secret_strings_compare_by_their_text() -> None:
    """So that an unchanged record is seen to be unchanged; a plain string is never equal to one."""
    assert SecretStr("a") == SecretStr("a")
    assert hash(SecretStr("a")) == hash(SecretStr("a"))
    assert SecretStr("a") != SecretStr("b")
    assert SecretStr("a") != "a"
    assert bool(SecretStr("")) is False
    assert copy.copy(SecretStr("a")).reveal() != "a"
