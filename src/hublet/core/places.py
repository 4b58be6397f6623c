"""Where things stand in an assistant: the sections of a config, and paths into it."""

from __future__ import annotations

SECTIONS = ("models", "context", "data", "mcpServers", "prompts", "docs", "rules")
Path = tuple[str | int, ...]
Pieces = tuple[str, ...]
"""A string taken apart: literal texts at even indexes, binding names at odd ones."""
