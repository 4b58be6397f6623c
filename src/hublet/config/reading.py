"""Reads a YAML file strictly, with the line of everything in it: names, values, lists and tables, and nothing else.

The YAML library is used for its stream of events. To build a tree, the library would recurse in C for each level, so
that deep nesting ends the process (seen with 60,000 brackets), and it would resolve tags and aliases, which are not
wanted here. Values stay text: what YAML 1.1 makes of `on`, `012` or `1:30` does not matter.

Nearly every file is as plain as the example: sections, and in each of them values without quotes. Such files are read
here without the library, in a tenth of the time that it takes to load. Anything else is left to the library.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hublet.core.values import dataclass

if TYPE_CHECKING:
    import yaml

size_limit = 64 * 1024
_depth_limit = 8
_TOO_DEEP = "this is nested too deeply"
_LIMIT_OF_LIBYAML = "exceeded maximum nesting depth"
"""The error of newer versions of libyaml, whose own limit is reached before ours is checked."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A name or a value, as text. `plain` says that it has no quotes in the file."""

    line: int
    text: str
    plain: bool = True

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in ("", "~", "null")


@dataclass(frozen=True, slots=True)
class Table:
    line: int
    entries: tuple[tuple[Scalar, Node], ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """Something that is not allowed, and was reported already."""

    line: int


Node = Scalar | Table | Sequence | Other
Report = Callable[[int, str, str], None]
"""Is called with a line, the key (empty for the file as a whole) and what is wrong."""


class Unreadable(Exception):
    """The text can't be read from `line` on."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def read_tree(text: str, report: Report) -> Node | None:
    """The document, or None when it is empty. Tags, anchors, aliases and keys given twice go to `report`.

    Raises Unreadable for a text that is not YAML, has more than one document, or is nested too deeply.
    """
    try:
        return _plain(text)
    except _NotPlain:
        return _by_library(text, report)


def _by_library(text: str, report: Report) -> Node | None:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        reader = _Reader(yaml.parse(text, Loader=loader), report)
        return reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # At the end of the text the mark may be one line too far.
        line = min(mark.line + 1, len(text.splitlines())) if mark else 1
        problem = error.problem or error.context
        raise Unreadable(line, _TOO_DEEP if problem == _LIMIT_OF_LIBYAML else f"this is not YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(line, "a character that YAML does not allow") from None


class _NotPlain(Exception):
    """The text is not plain, and so is left to the YAML library."""


_NAME = frozenset(string.ascii_lowercase + "_")
_FIRST = frozenset(string.ascii_letters + string.digits + "/.~")
_WORD = _FIRST | frozenset("_-+:@")
"""The characters that a plain value may begin with and consist of: no spaces and none of YAML's indicators, so that
YAML would read the same."""
_SIMPLER = frozenset(string.ascii_letters + string.digits + "_")
_LONGEST_NAME = 99


def _plain(text: str) -> Table | None:
    """Read sections whose lines are `name: word` or `name: [word, word]`, equally indented. Raises _NotPlain."""
    if not text.replace("\n", "").isprintable():
        raise _NotPlain
    sections: list[tuple[Scalar, list[tuple[Scalar, Node]]]] = []
    seen: set[tuple[int, str]] = set()
    depth = 0
    for number, line in enumerate(text.split("\n"), 1):
        said = line.lstrip(" ")
        if not said or said[0] == "#":
            continue
        indent = len(line) - len(said)
        name, colon, rest = said.partition(":")
        word = rest.partition(" #")[0].strip(" ")
        if not 0 < len(name) <= _LONGEST_NAME or not _NAME.issuperset(name) or not colon or rest[:1] not in ("", " "):
            raise _NotPlain
        if not indent and not word:
            sections.append((Scalar(number, name), []))
            depth = 0
        elif sections and indent and indent == (depth or indent):
            sections[-1][1].append((Scalar(number, name), _plain_value(number, word)))
            depth = indent
        else:
            raise _NotPlain
        seen.add((len(sections) if indent else 0, name))
    tables = [(name, Table(entries[0][0].line, tuple(entries))) for name, entries in sections if entries]
    if len(tables) < len(sections) or len(seen) < sum(1 + len(entries) for _, entries in sections):
        raise _NotPlain
    return Table(tables[0][0].line, tuple(tables)) if tables else None


def _plain_value(line: int, text: str) -> Node:
    """A plain value, or a list of simple ones in brackets. Raises _NotPlain."""
    if text[:1] in _FIRST and _WORD.issuperset(text) and text[-1] != ":":
        return Scalar(line, text)
    words = text[1:-1].split(", ")
    if f"[{', '.join(words)}]" == text and all(word and _SIMPLER.issuperset(word) for word in words):
        return Sequence(line, tuple(Scalar(line, word) for word in words))
    raise _NotPlain


class _Reader:
    def __init__(self, events: Iterator[yaml.Event], report: Report) -> None:
        self._events = events
        self._report = report

    def document(self) -> Node | None:
        import yaml

        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise Unreadable(_line(event), "a second document (---): there can be only one")
                root = self._node(next(self._events), 0, ())
        return root

    def _node(self, event: yaml.Event, depth: int, path: tuple[str, ...]) -> Node:
        import yaml

        line = _line(event)
        key = ".".join(path)
        if depth > _depth_limit:
            raise Unreadable(line, _TOO_DEEP)
        if isinstance(event, yaml.AliasEvent):
            self._report(line, key, "aliases (*) are not used here: write the value itself")
            return Other(line)
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor is not None:
            self._report(line, key, "anchors (&) are not used here")
        if getattr(event, "tag", None) is not None:
            self._report(line, key, "tags (!) are not used here")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(line, event.value, not event.style)  # no quotes: "" from the C parser, None from the other
        if isinstance(event, yaml.MappingStartEvent):
            return Table(line, tuple(self._entries(depth, path)))
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1, path))
        return Sequence(line, tuple(items))

    def _entries(self, depth: int, path: tuple[str, ...]) -> Iterator[tuple[Scalar, Node]]:
        import yaml

        seen: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = self._node(event, depth + 1, path)
            key = (*path, name.text) if isinstance(name, Scalar) else path
            value = self._node(next(self._events), depth + 1, key)
            if not isinstance(name, Scalar):
                if not isinstance(name, Other):
                    self._report(name.line, ".".join(path), "a key must be a word")
            elif name.text in seen:
                self._report(name.line, ".".join(key), f"given twice, first in line {seen[name.text]}")
            else:
                seen[name.text] = name.line
                yield name, value


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
