"""A rule written in markdown, with or without YAML front matter, as Continue's config-yaml package reads it."""

from __future__ import annotations

import re

from hublet.core import yaml12
from hublet.core.packages import File, Source
from hublet.core.variables import BLANKS, WHITE
from hublet.core.yaml12 import Value, YamlError

_ENDS = "\n\r\u2028\u2029"
_FENCE = re.compile(f"(?:\\A|(?<=[{_ENDS}]))---[{WHITE}]*(?=[{_ENDS}]|\\Z)")
_TAKEN = ("globs", "regex", "description", "alwaysApply", "invokable")


def rule_of(text: str, source: Source) -> dict[str, Value]:
    """The rule in a text. Any text is a rule; front matter that can't be read is a part of it."""
    text = text.replace("\r\n", "\n")
    matter, body = _split(text)
    name = matter.get("name")
    # These are what JavaScript takes for no name. (An empty list counts as a name there, but no rule can have it.)
    rule: dict[str, Value] = {"name": _name(source) if name in (None, "", 0) else name, "rule": body}
    rule |= {key: matter[key] for key in _TAKEN if key in matter}
    if isinstance(source, File):
        rule["sourceFile"] = source.path
    return rule


def _split(text: str) -> tuple[dict[str, Value], str]:
    parts = _FENCE.split(text)
    if len(parts) < 3:
        return {}, text
    try:
        matter = yaml12.read(parts[1])
    except YamlError:
        return {}, text
    return matter if isinstance(matter, dict) else {}, "---".join(parts[2:]).strip(BLANKS)


def _name(source: Source) -> str:
    if isinstance(source, File):
        return "/".join(part for part in re.split(r"[/\\]", source.path)[-2:] if part)
    return source.name
