"""A YAML text as a tree that remembers where each scalar stood.

Authors' YAML (`rawYaml`) is read for two things only: which secrets stand where, and where a pasted one has to be cut
out. Both need positions, which plain loading throws away; neither needs types, so a scalar stays the text it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_NODES = 200_000
_MOST_CHARACTERS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar: its text as read, and where its characters stand in the source (quotes included)."""

    text: str
    start: int
    end: int


Tree = Leaf | list["Tree"] | dict[str, "Tree"] | None


def read(source: str) -> Tree:
    """The tree of a document; None when it can't be read, is too large, or unfolds its aliases without end."""
    if len(source) > _MOST_CHARACTERS:
        return None
    try:
        node = yaml.compose(source, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    budget = [_MOST_NODES]
    try:
        return _tree(node, budget) if node is not None else None
    except (RecursionError, OverflowError):
        return None


def _tree(node: yaml.Node, budget: list[int]) -> Tree:
    budget[0] -= 1
    if budget[0] < 0:
        raise OverflowError
    match node:
        case yaml.ScalarNode():
            return Leaf(node.value, node.start_mark.index, node.end_mark.index)
        case yaml.SequenceNode():
            return [_tree(child, budget) for child in node.value]
        case yaml.MappingNode():
            return {key.value: _tree(child, budget) for key, child in node.value if isinstance(key, yaml.ScalarNode)}
    return None
