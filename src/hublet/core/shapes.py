"""Shapes of JSON values, checked as npm's `zod` (version 3) checks them, with the same messages.

    shape(value) -> Checked(value without foreign keys, problems, sound)

An object loses the keys that its shape doesn't name; the others come in the order of the shape. A union is the first of
its shapes that fits. A value is `sound` if it is of the right type all the same, and only its pattern or length is
wrong. If no shape of a union fits, the problems are those of the first one for which the value is sound; if there is
none, the only problem is `Invalid input`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from hublet.core.values import dataclass

Path = tuple[str | int, ...]
Problem = tuple[Path, str]


class _Missing:
    """The type of MISSING, the value of a key that is not there."""


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check: the value as its shape takes it, and the problems, each with the path to its place."""

    value: object
    problems: tuple[Problem, ...] = ()
    sound: bool = True

    @property
    def fits(self) -> bool:
        return not self.problems


Shape = Callable[[object], Checked]


def told(problems: tuple[Problem, ...]) -> str:
    """Problems on one line."""
    return ", ".join(f"{'.'.join(map(str, path))}: {text}" if path else text for path, text in problems)


def anything(value: object) -> Checked:
    """Any value."""
    return Checked(value)


def text(value: object) -> Checked:
    return Checked(value) if isinstance(value, str) else _not("string", value)


def number(value: object) -> Checked:
    if isinstance(value, int | float) and not isinstance(value, bool) and not _is_nan(value):
        return Checked(value)
    return _not("number", value)


def boolean(value: object) -> Checked:
    return Checked(value) if isinstance(value, bool) else _not("boolean", value)


def exactly(word: str) -> Shape:
    def check(value: object) -> Checked:
        return Checked(value) if value == word else _wrong(f'Invalid literal value, expected "{word}"')

    return check


def one_of(*words: str) -> Shape:
    listed = " | ".join(f"'{word}'" for word in words)

    def check(value: object) -> Checked:
        if not isinstance(value, str):
            missing = value is MISSING
            return _wrong("Required" if missing else f"Expected {listed}, received {_kind(value)}")
        return (
            Checked(value) if value in words else _wrong(f"Invalid enum value. Expected {listed}, received '{value}'")
        )

    return check


def but(shape: Shape, holds: Callable[[object], bool], message: str = "Invalid input") -> Shape:
    """A shape with one more condition, and the message where it does not hold."""

    def check(value: object) -> Checked:
        checked = shape(value)
        if not checked.sound or holds(checked.value):
            return checked
        return Checked(checked.value, (*checked.problems, ((), message)))

    return check


def matching(pattern: str, message: str) -> Shape:
    compiled = re.compile(pattern, re.ASCII)
    return but(text, lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None, message)


def optional(shape: Shape) -> Shape:
    """A shape that may be left out; null does not count as left out."""

    def check(value: object) -> Checked:
        return Checked(value) if value is MISSING else shape(value)

    return check


def nullable(shape: Shape) -> Shape:
    def check(value: object) -> Checked:
        return Checked(value) if value is None else shape(value)

    return check


def array(shape: Shape, length: int | None = None) -> Shape:
    def check(value: object) -> Checked:
        if not isinstance(value, list):
            return _not("array", value)
        elements = [shape(each) for each in value]
        problems = tuple(_below(index, each) for index, each in enumerate(elements))
        wrong: tuple[Problem, ...] = ()
        if length is not None and len(value) != length:
            wrong = (((), f"Array must contain exactly {length} element(s)"),)
        sound = all(each.sound for each in elements)
        return Checked([each.value for each in elements], (*wrong, *sum(problems, ())), sound)

    return check


def pair(first: Shape, second: Shape) -> Shape:
    """An array of exactly two."""

    def check(value: object) -> Checked:
        if not isinstance(value, list):
            return _not("array", value)
        if len(value) < 2:
            return _wrong("Array must contain at least 2 element(s)")
        elements = [first(value[0]), second(value[1])]
        problems = sum((_below(index, each) for index, each in enumerate(elements)), ())
        if len(value) > 2:
            problems = (((), "Array must contain at most 2 element(s)"), *problems)
        return Checked([each.value for each in elements], problems, all(each.sound for each in elements))

    return check


def record(shape: Shape, key: Shape = text) -> Shape:
    """An object with any keys; `shape` is that of its values."""

    def check(value: object) -> Checked:
        if not isinstance(value, dict):
            return _not("object", value)
        problems: tuple[Problem, ...] = ()
        found, sound = {}, True
        for name, child in value.items():
            named, checked = key(name), shape(child)
            problems += _below(name, named) + _below(name, checked)
            sound &= named.sound and checked.sound
            found[name] = checked.value
        return Checked(found, problems, sound)

    return check


class Fields:
    """An object with known keys; all others are dropped."""

    def __init__(self, **fields: Shape) -> None:
        self.fields: Mapping[str, Shape] = fields

    def __call__(self, value: object) -> Checked:
        if not isinstance(value, dict):
            return _not("object", value)
        problems: tuple[Problem, ...] = ()
        found, sound = {}, True
        for name, shape in self.fields.items():
            checked = shape(value.get(name, MISSING))
            problems += _below(name, checked)
            sound &= checked.sound
            if checked.value is not MISSING:
                found[name] = checked.value
        return Checked(found, problems, sound)

    def partial(self) -> Fields:
        """The same shape with every key optional."""
        return Fields(**{name: optional(shape) for name, shape in self.fields.items()})

    def extended(self, **fields: Shape) -> Fields:
        return Fields(**{**self.fields, **fields})


def either(*shapes: Shape) -> Shape:
    """A union: the first shape that fits; else the first for which the value is sound, with its problems."""

    def check(value: object) -> Checked:
        sound: Checked | None = None
        for shape in shapes:
            checked = shape(value)
            if checked.fits:
                return checked
            if checked.sound and sound is None:
                sound = checked
        return sound or _wrong("Invalid input")

    return check


def both(first: Shape, second: Shape) -> Shape:
    """An object of two shapes at once, with the keys of both."""

    def check(value: object) -> Checked:
        one, other = first(value), second(value)
        problems, sound = one.problems + other.problems, one.sound and other.sound
        if isinstance(one.value, dict) and isinstance(other.value, dict):
            return Checked({**one.value, **other.value}, problems, sound)
        return Checked(value, problems, sound)

    return check


def _below(name: str | int, checked: Checked) -> tuple[Problem, ...]:
    return tuple(((name, *path), message) for path, message in checked.problems)


def _wrong(message: str) -> Checked:
    return Checked(None, (((), message),), sound=False)


def _not(wanted: str, value: object) -> Checked:
    return _wrong("Required" if value is MISSING else f"Expected {wanted}, received {_kind(value)}")


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _kind(value: object) -> str:
    """The name that zod has for a value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "nan" if _is_nan(value) else "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"
