"""Building the tree of a YAML text from the events of the parser.

Composing it in libyaml would recurse for each level, and deep nesting would crash the process. This is a module of its
own so that the parser is loaded only when YAML is read.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from hublet.core.places import Leaf, Tree

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_NODES = 200_000
_DEEPEST = 100


class _Unreadable(ValueError):
    pass


def build(source: str) -> Tree:
    """The tree of a document; None if it can't be read, is too deep, or too large with its aliases unfolded."""
    try:
        # The parser does not count a byte order mark: its positions begin behind it.
        return _Builder(yaml.parse(source, Loader=_LOADER), int(source.startswith("\ufeff"))).document()
    except (yaml.YAMLError, ValueError):
        return None


class _Builder:
    """Builds the tree of one document from its events. `shift` is added to positions. An alias counts as many nodes as
    what it stands for."""

    def __init__(self, events: Iterator[yaml.Event], shift: int) -> None:
        self._events, self._shift = events, shift
        self._anchors: dict[str, tuple[Tree, int]] = {}
        self._nodes = 0

    def document(self) -> Tree:
        tree: Tree = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                tree = self._node(next(self._events), 0)
                documents += 1
        if documents > 1:
            raise _Unreadable
        return tree

    def _node(self, event: yaml.Event, depth: int) -> Tree:
        if depth > _DEEPEST:
            raise _Unreadable
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _Unreadable  # the anchor is unknown, or the alias is within it
            tree, size = self._anchors[event.anchor]
            self._count(size)
            return tree
        before = self._nodes
        self._count(1)
        tree = self._content(event, depth)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = (tree, self._nodes - before)
        return tree

    def _content(self, event: yaml.Event, depth: int) -> Tree:
        match event:
            case yaml.ScalarEvent():
                assert event.start_mark is not None
                assert event.end_mark is not None
                return Leaf(event.value, event.start_mark.index + self._shift, event.end_mark.index + self._shift)
            case yaml.SequenceStartEvent():
                return list(self._children(depth))
            case yaml.MappingStartEvent():
                return self._mapping(list(self._children(depth)))
        raise _Unreadable

    @staticmethod
    def _mapping(children: list[Tree]) -> Tree:
        found: dict[str, Tree] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Leaf) or key.text in found:
                raise _Unreadable
            found[key.text] = value
        return found

    def _children(self, depth: int) -> Iterator[Tree]:
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                return
            yield self._node(event, depth + 1)

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > _MOST_NODES:
            raise _Unreadable
