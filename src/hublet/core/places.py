"""Places in an assistant: the sections of a config, paths into it, and scalars in the author's YAML."""

from __future__ import annotations

from hublet.core.values import dataclass

SECTIONS = ("models", "context", "data", "mcpServers", "prompts", "docs", "rules")
"""The lists of a config, in the order in which they are unrolled."""

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""
Pieces = tuple[str, ...]
"""A string in pieces: literal texts at even indexes, names of bindings at odd ones."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar: its text, and from where to where its characters stand in the source, quotes included."""

    text: str
    start: int
    end: int


Tree = Leaf | list["Tree"] | dict[str, "Tree"] | None
"""A YAML document; None where it can't be read."""
