"""How two revisions differ, told by what they consist of (models, rules, servers), not by the lines of a file.

The revisions are JSON values with references in place of secret values. That a secret's value has changed is told by
its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import unified_diff
from typing import Literal

import orjson

from hublet.core.places import SECTIONS
from hublet.core.values import dataclass

_LONGEST = 200
_MOST_LINES = 400

How = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs: a model, a rule, a server, a setting.

    `section` is where it stands (`models`), `name` its name there. `lines` say what has changed in it: `key: old →
    new`, or for a text of several lines `-` and `+` lines. Of a thing that was added or removed they say what it
    consists of.
    """

    section: str
    name: str
    how: How
    lines: tuple[str, ...] = ()


def differences(old: object, new: object, secrets: tuple[str, ...] = ()) -> tuple[Difference, ...]:
    """How the JSON values of two revisions of one Question differ. `secrets` are the names of secrets whose values have
    changed."""
    found = list(_found(_parts(old), _parts(new)))
    found += [Difference("secrets", name, "changed") for name in secrets]
    return tuple(found)


def _parts(value: object) -> dict[str, dict[str, object]]:
    """The things that a revision consists of, by section and name."""
    match value:
        case {"configResult": {"config": dict(config)}}:
            parts = {key: _named(config[key]) for key in SECTIONS if isinstance(config.get(key), list)}
            rest = {str(key): child for key, child in config.items() if key not in parts}
            return parts | {"settings": rest}
        case {"configResult": {"errors": errors}, "rawYaml": str(text)}:
            return {"settings": {"errors": errors, "rawYaml": text}}
        case {"organizations": list(organizations)}:
            return {"organizations": _named(organizations)}
        case dict():
            return {"settings": {str(key): child for key, child in value.items()}}
    return {"settings": {"value": value}}


def _named(items: object) -> dict[str, object]:
    found: dict[str, object] = {}
    for index, item in enumerate(items if isinstance(items, list) else ()):
        name = base = _name(item, index)
        count = 1
        while name in found:
            count += 1
            name = f"{base} ({count})"
        found[name] = item
    return found


def _name(item: object, index: int) -> str:
    match item:
        case {"name": str(name)} | {"provider": str(name)} | {"slug": str(name)} | {"uses": str(name)}:
            return name
        case {"rule": str(text)} | str(text):
            return _short(text.strip().partition("\n")[0])
    return f"number {index + 1}"


def _found(old: Mapping[str, Mapping[str, object]], new: Mapping[str, Mapping[str, object]]) -> Iterator[Difference]:
    for section in dict.fromkeys((*old, *new)):
        before, after = old.get(section, {}), new.get(section, {})
        for name, value in after.items():
            if name not in before:
                yield Difference(section, name, "added", tuple(_leaves(value)))
            elif before[name] != value:
                yield Difference(section, name, "changed", tuple(_changes((), before[name], value))[:_MOST_LINES])
        for name, value in before.items():
            if name not in after:
                yield Difference(section, name, "removed", tuple(_leaves(value)))
        was = [name for name in before if name in after]
        if section != "settings" and was != (now := [name for name in after if name in before]):
            yield Difference(section, "order", "changed", (f"{', '.join(was)} → {', '.join(now)}",))


def _leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[str]:
    """A line for each value in a thing that was added or removed."""
    match value:
        case dict():
            for key, child in value.items():
                yield from _leaves(child, (*path, str(key)))
        case list() if any(isinstance(child, dict | list) for child in value):
            for index, child in enumerate(value):
                yield from _leaves(child, (*path, str(index)))
        case _:
            yield f"{'.'.join(path)}: {_shown(value)}" if path else _shown(value)


def _changes(path: tuple[str, ...], old: object, new: object) -> Iterator[str]:
    match old, new:
        case dict(), dict():
            for key in dict.fromkeys((*old, *new)):
                if old.get(key, _NOTHING) != new.get(key, _NOTHING):
                    yield from _changes((*path, str(key)), old.get(key, _NOTHING), new.get(key, _NOTHING))
        case str(), str() if "\n" in old or "\n" in new:
            if path:
                yield f"{'.'.join(path)}:"
            lines = unified_diff(old.splitlines()[:_MOST_LINES], new.splitlines()[:_MOST_LINES], lineterm="", n=1)
            yield from (line for line in lines if not line.startswith(("---", "+++", "@@")))
        case _:
            change = f"{_shown(old)} → {_shown(new)}"
            yield f"{'.'.join(path)}: {change}" if path else change


class _Nothing:
    pass


_NOTHING = _Nothing()


def _shown(value: object) -> str:
    if isinstance(value, _Nothing):
        return "(nothing)"
    return _short(value if isinstance(value, str) else orjson.dumps(value).decode())


def _short(text: str) -> str:
    line = text.replace("\n", "⏎")
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
