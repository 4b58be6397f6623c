"""A YAML file read strictly, with the line of everything in it: names, values, lists and tables, nothing clever.

Read as a stream of events. Composing a tree first would recurse in C once a level, so that deep nesting ends the
process (seen with 60,000 brackets), and would resolve tags and aliases that are not wanted here. Words stay words: what
YAML 1.1 makes of `on`, `012` or `1:30` never comes up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import yaml

size_limit = 64 * 1024
_depth_limit = 8
_TOO_DEEP = "this is nested too deeply"
_LIMIT_OF_LIBYAML = "exceeded maximum nesting depth"
"""Newer ones have a limit of their own, which a bomb reaches before ours is looked at."""


class Scalar(NamedTuple):
    """A name or value as it stands in the file; `plain` is without quotes."""

    line: int
    text: str
    plain: bool = True

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in ("", "~", "null")


class Table(NamedTuple):
    line: int
    entries: tuple[tuple[Scalar, Node], ...]


class Sequence(NamedTuple):
    line: int
    items: tuple[Node, ...]


class Other(NamedTuple):
    """Something that was reported already."""

    line: int


Node = Scalar | Table | Sequence | Other
Report = Callable[[int, str, str], None]
"""Takes a line, the key (empty for the file as a whole) and what is wrong."""


class Unreadable(Exception):
    """The text as a whole: from `line` on there is nothing to be made of it."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def read_tree(text: str, report: Report) -> Node | None:
    """The document, or None when it is empty. Tags, anchors, aliases and keys given twice go to `report`.

    Raises Unreadable for what is not YAML, more than one document, or nested too deeply.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        reader = _Reader(yaml.parse(text, Loader=loader), report)
        return reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # The end of the text may be counted as one line more than there are.
        line = min(mark.line + 1, len(text.splitlines())) if mark else 1
        problem = error.problem or error.context
        raise Unreadable(line, _TOO_DEEP if problem == _LIMIT_OF_LIBYAML else f"this is not YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(line, "a character that YAML does not allow") from None


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
            return Scalar(line, event.value, not event.style)  # no style: the C parser says "", the other one None
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
