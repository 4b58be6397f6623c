"""A pinned revision of an assistant, which is served in place of the present one.

A pin is kept as the record of a Question of its own, `Pinned`. It has the template of the revision, and as traits the
name of the revision and the time until which the pin holds. A revision has no secret values: it is filled with those of
the present record, by name. The value of an unnamed binding is filled in only where the whole item is the same in both,
since nothing else tells that the value is meant for that place. A hole that can't be filled becomes a reference.

An assistant that the Hub has withdrawn is not served, pinned or not: a pin only chooses between revisions that the user
may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import orjson

from hublet.core.questions import Assistant, Pinned, Question
from hublet.core.records import UNNAMED, Bindings, Content, Known, Record, View, reference, render
from hublet.core.secretstr import SecretStr
from hublet.core.values import dataclass

_REVISION, _UNTIL = "pinned revision", "pinned until"
_FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin that is kept. `until` is a time of the wall clock in seconds; infinite if only `unpin` ends the pin."""

    assistant: Assistant
    revision: str
    until: float
    record: Record


def pinned(assistant: Assistant, revision: str, content: Content, until: float, now: float) -> Record:
    """The record that pins a revision."""
    traits = {**content.traits, _REVISION: revision, _UNTIL: repr(until)}
    return Record(Content(content.template, {}, traits), Pinned.of(assistant), now)


def pins(records: Mapping[Question, Known], now: float) -> tuple[Pin, ...]:
    """The pins that hold now."""
    found = []
    for question, known in records.items():
        if isinstance(question, Pinned) and isinstance(known, Record):
            until = float(known.content.traits.get(_UNTIL, _FOREVER))
            if now < until:
                found.append(Pin(question.assistant, known.content.traits.get(_REVISION, ""), until, known))
    return tuple(found)


def served(pin: Pin, present: Record) -> Record:
    """The record that is served: the present one with the content of the pinned revision."""
    content = pin.record.content
    traits = {name: value for name, value in content.traits.items() if name not in (_REVISION, _UNTIL)}
    return replace(present, content=Content(content.template, _filled(content, present.content), traits))


def _filled(old: Content, new: Content) -> Bindings:
    names = [hole.name for hole in old.template.holes if hole.kind == "secret"]
    same = _same_items(old, new) if any(name.startswith(UNNAMED) for name in names) else frozenset()
    return {
        name: new.bindings[name]
        if name in new.bindings and (not name.startswith(UNNAMED) or _item_of(name) in same)
        else SecretStr(reference(name))
        for name in names
    }


def _item_of(name: str) -> tuple[str, ...]:
    """(section, index) of the item that an unnamed binding is in: `unnamed/config/models/0/apiKey`."""
    return tuple(name.split("/")[2:4])


def _same_items(old: Content, new: Content) -> frozenset[tuple[str, ...]]:
    before, after = _items(old), _items(new)
    return frozenset(place for place, item in before.items() if after.get(place) == item)


def _items(content: Content) -> dict[tuple[str, ...], object]:
    value = orjson.loads(render(content.template, content.bindings, View(False, lambda _: "")))
    config = value.get("configResult", {}).get("config") if isinstance(value, dict) else None
    return {
        (section, str(index)): item
        for section, items in (config.items() if isinstance(config, dict) else ())
        if isinstance(items, list)
        for index, item in enumerate(items)
    }
