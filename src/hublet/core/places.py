"""Where things stand in an assistant: the sections of a config, paths into it, and scalars in its author's YAML."""

from __future__ import annotations

from hublet.core.values import dataclass

SECTIONS = ("models", "context", "data", "mcpServers", "prompts", "docs", "rules")
"""The lists of a config, in the order in which they are unrolled."""

Path = tuple[str | int, ...]
Pieces = tuple[str, ...]
"""A string taken apart: literal texts at even indexes, binding names at odd ones."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar: its text as read, and where its characters stand in the source (quotes included)."""

    text: str
    start: int
    end: int


Tree = Leaf | list["Tree"] | dict[str, "Tree"] | None
