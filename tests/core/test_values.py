"""Our data classes beside those of `dataclasses`: the same in all that they do, made later."""

from __future__ import annotations

import copy
import dataclasses
import operator
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hublet.core import values

OPTIONS = [
    {},
    {"slots": True},
    {"eq": False},
    {"frozen": True},
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "kw_only": True},
    {"frozen": True, "slots": True, "order": True},
]


def pair(decorate: Callable[..., Any], **options: bool) -> type[Any]:
    @decorate(**options)
    class Pair:
        kind: ClassVar[str] = "pair"
        left: int
        right: str = "r"
        seen: list[int] = dataclasses.field(default_factory=list, repr=False, compare=False)
        memo: str | None = dataclasses.field(default=None, init=False)
        made: list[int] = dataclasses.field(default_factory=list, init=False, compare=False)

    return Pair


def both(**options: bool) -> tuple[type[Any], type[Any]]:
    return pair(values.dataclass, **options), pair(dataclasses.dataclass, **options)


def outcome(what: Callable[[], object]) -> object:
    """The result of a call, or its exception, in a form that does not depend on the class."""
    try:
        return repr(what())
    except (TypeError, ValueError, AttributeError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@settings(deadline=None)
@given(words=st.dictionaries(st.sampled_from(["left", "right", "seen", "memo", "other"]), st.integers(0, 1)))
def test_it_takes_and_shows_the_same_arguments(options: dict[str, bool], words: dict[str, Any]) -> None:
    """By name, and with the same errors for wrong names."""
    ours, theirs = both(**options)
    assert outcome(lambda: ours(**words)) == outcome(lambda: theirs(**words))
    assert outcome(lambda: ours(**words)) == outcome(lambda: theirs(**words))  # not only the first time


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("given", [(), (1,), (1, "b"), (1, "b", [3]), (1, "b", [3], 4)], ids=str)
def test_it_takes_the_same_arguments_in_order(options: dict[str, bool], given: tuple[Any, ...]) -> None:
    ours, theirs = both(**options)
    assert outcome(lambda: ours(*given)) == outcome(lambda: theirs(*given))
    assert ours.__match_args__ == theirs.__match_args__


COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
WORDS: list[dict[str, Any]] = [{"left": 1}, {"left": 1, "seen": [2]}, {"left": 2}, {"left": 1, "right": "s"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("one", WORDS, ids=str)
@pytest.mark.parametrize("other", [*WORDS, 5], ids=str)
def test_it_compares_the_same(
    options: dict[str, bool], compare: Callable[[Any, Any], bool], one: dict[str, Any], other: dict[str, Any] | int
) -> None:
    """With an equal one, with one that differs in a field that is not compared, and with anything else."""
    said = []
    for made in both(**options):
        second = made(**other) if isinstance(other, dict) else other
        said.append(outcome(lambda made=made, second=second: compare(made(**one), second)))
    assert said[0] == said[1]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_hashes_when_the_other_does(options: dict[str, bool]) -> None:
    """Equal ones have the same hash; those that can change have none."""
    ours, theirs = both(**options)
    hashable = not isinstance(outcome(lambda: hash(theirs(left=1))), tuple)
    assert hashable is not isinstance(outcome(lambda: hash(ours(left=1))), tuple)
    if hashable and options.get("eq", True):
        assert hash(ours(left=1)) == hash(ours(left=1, seen=[5])) == hash(theirs(left=1))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("change", [lambda one: setattr(one, "left", 2), lambda one: delattr(one, "right")])
def test_what_is_frozen_stays_as_it_is(options: dict[str, bool], change: Callable[[Any], None]) -> None:
    """Nothing can be set or deleted, and the refusal is the same."""
    ours, theirs = (made(left=1) for made in both(**options))
    said = outcome(lambda: change(ours))
    assert said == outcome(lambda: change(theirs))
    assert ours.left == 1 or not options.get("frozen")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_dataclasses_offers_works_on_it(options: dict[str, bool]) -> None:
    """`replace`, `asdict` and `fields`; and each instance gets defaults of its own from a factory."""
    ours, theirs = both(**options)
    one, other = ours(left=1), theirs(left=1)
    assert repr(dataclasses.replace(one, right="s")) == repr(dataclasses.replace(other, right="s"))
    assert dataclasses.asdict(one) == dataclasses.asdict(other)
    assert [field.name for field in dataclasses.fields(one)] == [field.name for field in dataclasses.fields(other)]
    one.seen.append(1)
    one.made.append(1)
    assert ours(left=1).seen == ours(left=1).made == []
    assert ours(left=1, seen=[5]).seen == [5]


@values.dataclass(frozen=True, slots=True)
class Link:
    """At the top of a module, so that it can be pickled."""

    name: str
    before: Any = None


@values.dataclass(frozen=True, slots=True)
class Longer(Link):
    """It adds a field and has its own `__repr__`."""

    length: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", len(self.name))

    def __repr__(self) -> str:
        return self.name


@pytest.mark.parametrize("one", [Link("a", Link("b")), Longer("abc", Link("b"))], ids=repr)
def test_a_frozen_one_is_copied_whole(one: Link) -> None:
    for twin in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert twin == one
        assert repr(twin) == repr(one)


def test_what_a_class_writes_itself_stays() -> None:
    """Its `__repr__` and what `__post_init__` does; the inherited methods are made for the class itself."""
    assert repr(Longer("abc")) == "abc"
    assert Longer("abc").length == 3
    assert Longer("abc") == Longer("abc")
    assert Longer("abc") != Link("abc")


def test_one_that_holds_itself_can_be_shown() -> None:
    made: list[object] = []
    made.append(Link("a", made))
    assert repr(made[0]) == "Link(name='a', before=[...])"
    one = Link("a")
    object.__setattr__(one, "before", one)
    assert repr(one) == "Link(name='a', before=...)"


def test_making_one_compiles_nothing() -> None:
    """Its `__init__` is compiled by the first instance, `__eq__` and `__hash__` by the first look-up, once each."""
    code = """
import sys
from hublet.core.values import dataclass

compiled = []
sys.addaudithook(lambda event, args: compiled.append(args[1]) if event == "compile" else None)

@dataclass(frozen=True, slots=True, order=True)
class Slug:
    owner: str
    package: str

told = [len(compiled)]
def make(): Slug("a", "b")
def look_up(): {Slug("a", "b"): 1}.get(Slug("a", "b"))
def order(): Slug("a", "b") < Slug("a", "c")
for what in (make, make, look_up, look_up, order):
    what()
    told.append(len(compiled))
print(*told)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["0", "1", "1", "3", "3", "3"], done.stderr
