"""Data classes that cost little at start: `from hublet.core.values import dataclass` in place of that of `dataclasses`.

Such a class is a data class like any other (`fields`, `replace`, `asdict` work), and a type checker sees no difference.
But `dataclasses` compiles up to six methods for each class when the class is defined, which takes a quarter of a
millisecond for each class at every start. Here the methods that have to be fast are compiled when they are first
called: for most classes that is long after the start, or never. The other methods are written once, for all classes.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["dataclass"]

_ORDERINGS = (operator.lt, operator.le, operator.gt, operator.ge)
_UNSET = object()
"""Stands for an argument that was not given, where the default is made anew for each instance."""

Class = type[Any]
Names = dict[str, Any]
"""The globals of a compiled method, by name."""


def _dataclass(
    cls: Class | None = None,
    /,
    *,
    eq: bool = True,
    order: bool = False,
    frozen: bool = False,
    kw_only: bool = False,
    slots: bool = False,
) -> Any:
    """`dataclasses.dataclass`, with those of its parameters that hublet uses."""

    def made(cls: Class) -> Class:
        written = set(vars(cls))
        if cls.__doc__ is None:
            cls.__doc__ = (
                f"{cls.__name__}(...)"  # else dataclasses puts the signature there, which takes longest of all
            )
        made = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=slots)(cls)
        for name, method in _methods(made, eq=eq, order=order, frozen=frozen).items():
            if name not in written:
                setattr(made, name, method)
        return made

    return made if cls is None else made(cls)


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _dataclass


def _methods(cls: Class, *, eq: bool, order: bool, frozen: bool) -> dict[str, Any]:
    methods: dict[str, Any] = {"__init__": _when_called(cls, "__init__", _init_frozen if frozen else _init)}
    methods["__repr__"] = _repr
    if eq:
        methods["__eq__"] = _when_called(cls, "__eq__", _eq)
        methods["__hash__"] = _when_called(cls, "__hash__", _hash) if frozen else None
    if order:
        methods |= {f"__{by.__name__}__": _comparing(by) for by in _ORDERINGS}
    if frozen:
        methods |= {"__setattr__": _not_set, "__delattr__": _not_deleted}
        methods |= {"__getstate__": _state, "__setstate__": _set_state}
    return methods


# Compiled for each class, when they are first called


def _when_called(cls: Class, name: str, lines_of: Callable[[Class, Names], list[str]]) -> Callable[..., Any]:
    """A method that compiles itself when it is first called, and puts the compiled one in its place in the class."""

    def first(*args: Any, **kwargs: Any) -> Any:
        names: Names = {}
        exec("\n".join(lines_of(cls, names)), names)  # noqa: S102  # made of the fields' names, which are identifiers
        method = names.pop(name)
        method.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, method)
        return method(*args, **kwargs)

    return first


def _init(cls: Class, names: Names, assign: str = " self.{name} = {value}") -> list[str]:
    given, by_name, body = ["self"], ["*"], []
    for field in dataclasses.fields(cls):
        parameter = name = value = field.name
        if field.default_factory is not MISSING:
            names |= {f"_new_{name}": field.default_factory, "_UNSET": _UNSET}
            parameter, value = f"{name} = _UNSET", f"_new_{name}() if {name} is _UNSET else {name}"
        elif field.default is not MISSING:
            names[f"_default_{name}"] = field.default
            parameter = f"{name} = _default_{name}"
        if field.init:
            (by_name if field.kw_only else given).append(parameter)
        elif parameter == name:
            continue  # without a default: `__post_init__` sets it
        else:
            body.append(f" {parameter}")
        body.append(assign.format(name=name, value=value))
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    parameters = [*given, *(by_name if len(by_name) > 1 else [])]
    return [f"def __init__({', '.join(parameters)}):", *(body or [" pass"])]


def _init_frozen(cls: Class, names: Names) -> list[str]:
    names["_set"] = object.__setattr__
    return _init(cls, names, " _set(self, {name!r}, {value})")


def _eq(cls: Class, _: Names) -> list[str]:
    both = f"{_values(cls, 'self')} == {_values(cls, 'other')}"
    return ["def __eq__(self, other):", f" return {both} if other.__class__ is self.__class__ else NotImplemented"]


def _hash(cls: Class, _: Names) -> list[str]:
    return ["def __hash__(self):", f" return hash({_values(cls, 'self')})"]


def _values(cls: Class, of: str) -> str:
    return f"({''.join(f'{of}.{field.name}, ' for field in dataclasses.fields(cls) if field.compare)})"


# The same for all classes


@recursive_repr()
def _repr(self: Any) -> str:
    fields = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(fields)})"


def _comparing(by: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def compare(self: Any, other: Any) -> Any:
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in dataclasses.fields(self) if field.compare]
        return by([getattr(self, name) for name in names], [getattr(other, name) for name in names])

    return compare


def _not_set(_: object, name: str, __: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _not_deleted(_: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
