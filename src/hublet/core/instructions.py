"""What an assistant tells a model in words: its rules and its prompts, read from an unrolled config.

The config may have any shape: an item without a text is skipped. Texts, names and descriptions are kept to the letter;
`one_line` makes of them what can stand in a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from hublet.core.values import dataclass

Kind = Literal["rule", "prompt"]

_PLACE = re.compile(r"(?<![{$])\{\{(\{)?[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*(?(1)\}\}\}|\}\}(?!\}))")
"""`{{ name }}` and `{{{ name }}}` of Continue's prompts; never the `${{ secrets.NAME }}` of a reference."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """A rule or a prompt. `name` and `description` are empty when the author gave none. `when` says in words for which
    files a rule is meant; it is empty when the rule is meant for all."""

    kind: Kind
    name: str
    text: str
    description: str = ""
    when: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the places that have to be filled in a prompt's text, each once, in order. A rule has none."""
        if self.kind == "rule":
            return ()
        return tuple(dict.fromkeys(found[2] for found in _PLACE.finditer(self.text)))

    def filled(self, values: Mapping[str, str]) -> str:
        """The text with its places filled in. A place without a value becomes empty. Places in a value stay as they
        are."""
        if self.kind == "rule":
            return self.text
        return _PLACE.sub(lambda found: values.get(found[2], ""), self.text)


def instructions(config: object) -> tuple[Instruction, ...]:
    """The prompts of a config in their order, then its rules."""
    if not isinstance(config, Mapping):
        return ()
    return (*_prompts(config.get("prompts")), *_rules(config.get("rules")))


def one_line(text: object, longest: int) -> str:
    """A text as it can stand in a list: on one line, without characters that control a terminal or the direction of
    writing, and at most `longest` characters, with an ellipsis where it was cut. Empty for a value that is no text."""
    if not isinstance(text, str):
        return ""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: longest * 8]).split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def _prompts(items: object) -> Iterator[Instruction]:
    for item in items if isinstance(items, list) else ():
        match item:
            case {"prompt": str(text)}:
                yield Instruction("prompt", _text(item.get("name")), text, _text(item.get("description")))


def _rules(items: object) -> Iterator[Instruction]:
    for item in items if isinstance(items, list) else ():
        match item:
            case str(text):
                yield Instruction("rule", "", text)
            case {"rule": str(text)}:
                yield Instruction("rule", _text(item.get("name")), text, _text(item.get("description")), _when(item))


def _when(rule: Mapping[str, object]) -> str:
    said = []
    for key, word in (("globs", "files"), ("regex", "files that hold")):
        value = rule.get(key)
        patterns = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        if texts := [pattern for pattern in patterns if isinstance(pattern, str)]:
            said.append(f"{word} {', '.join(texts)}")
    return "; ".join(said)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
