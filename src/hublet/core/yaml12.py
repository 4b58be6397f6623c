"""Reading YAML by the rules of version 1.2, as Continue's own parser (npm's `yaml`) does by default.

PyYAML has the rules of 1.1, by which `on`, `012`, `1:30`, `1_000` and dates are no text. Here only the events of its
parser are used; core/yamlrules.py says what a scalar means. Keys become texts, as they do in JavaScript, and `<<` is a
key like any other. A key that is given twice, a second document and an unknown alias are errors. In a text with a
`%YAML 1.1` directive the rules of 1.1 hold, with merge keys, in their parser as here.

What their parser reads and this one refuses: the tags !!binary, !!timestamp, !!set, !!omap and !!pairs, dates under
`%YAML 1.1`, keys that are lists or mappings, an empty key, nesting deeper than 100 levels, some tabs at the start of
lines. What it refuses and this one reads: comments stuck to another token, broken tags.

The value is built from events, since composing it in libyaml would recurse for each level. Aliases are counted as their
parser counts them (an anchor may be used 99 times, and less often if there are aliases within it), so a small text
can't unfold without end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from hublet.core import yamlrules
from hublet.core.values import dataclass
from hublet.core.yamlrules import Rules, Scalar, key_text

Value = Scalar | list["Value"] | dict[str, "Value"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_CHARACTERS = 4 * 1024 * 1024
_MOST_NODES = 200_000
_DEEPEST = 100
_MOST_ALIASES = 100
_MOST_TABS = 20
_TAG = "tag:yaml.org,2002:"
_UNREAD = ("binary", "timestamp", "merge", "set", "omap", "pairs")

_ODD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|\r(?!\n)")
"""Characters that libyaml refuses or takes for line ends; here they are characters like any other."""
_PLANES = ((0xF0000, re.compile("[\U000f0000-\U000fffff]")), (0x100000, re.compile("[\U00100000-\U0010ffff]")))


class YamlError(ValueError):
    """A text can't be read as YAML. The message is one sentence, with line and column where they are known."""


def read(text: str) -> Value:
    """The value of a text with one document; None for a text with none. Raises YamlError."""
    if len(text) > _MOST_CHARACTERS:
        raise YamlError(f"the text is longer than {_MOST_CHARACTERS} characters")
    # A line end is added: without one, libyaml gives a block scalar at the end of the text no final line end.
    text = text.removeprefix("\ufeff") + "\n"
    base = _base(text)
    hidden = _ODD.sub(lambda match: chr(base + ord(match[0])), text) if base else text
    for _ in range(_MOST_TABS):
        try:
            return _Builder(yaml.parse(hidden, Loader=_LOADER), base).document()
        except yaml.MarkedYAMLError as error:
            mended = _without_tab(hidden, error)
            if mended is None:
                raise YamlError(_told(error)) from None
            hidden = mended
        except yaml.YAMLError:
            break
    raise YamlError("the text holds characters that no YAML has")


def _without_tab(text: str, error: yaml.MarkedYAMLError) -> str | None:
    """The text with the line emptied at which libyaml failed, if there are only blanks with a tab in that line: YAML
    1.2 allows tabs there. None for any other error."""
    if error.problem_mark is None or "\t" not in text:
        return None
    lines = text.split("\n")
    at = error.problem_mark.line
    if at >= len(lines) or "\t" not in lines[at] or lines[at].strip("\t \r"):
        return None
    lines[at] = ""
    return "\n".join(lines)


def _told(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{error.problem or 'it is no YAML'}{where}"


def _base(text: str) -> int:
    """By how much odd characters are shifted while libyaml reads, into a private plane that the text does not use; 0 if
    there are none. Raises YamlError if the text uses both planes."""
    if _ODD.search(text) is None:
        return 0
    for base, used in _PLANES:
        if used.search(text) is None:
            return base
    raise YamlError("the text mixes control characters with characters of both private planes")


@dataclass(slots=True)
class _Anchor:
    """What an anchor stands for, and how often it was used: `count` and `weight` are what npm's `yaml` calls count and
    aliasCount. `aliases` are the anchors that are used within it."""

    value: Value
    nodes: int
    scalars: bool
    aliases: list[_Anchor]
    count: int = 1
    weight: int = 0

    def use(self) -> None:
        self.count += 1
        if self.weight == 0:
            within = [other.count * other.weight for other in self.aliases]
            self.weight = max([int(self.scalars), *within])
        if self.count * self.weight > _MOST_ALIASES:
            raise YamlError("it repeats an alias too often")


class _Builder:
    """Builds the value of one document from its events. `base` is by how much odd characters were shifted."""

    def __init__(self, events: Iterator[yaml.Event], base: int) -> None:
        self._events, self._base = events, base
        self._rules: Rules = yamlrules.core
        self._anchors: dict[str, _Anchor] = {}
        self._nodes = self._scalars = 0
        self._aliases: list[_Anchor] = []

    def document(self) -> Value:
        value: Value = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise YamlError("it holds more than one document")
                if event.version == (1, 1):
                    self._rules = yamlrules.of_1_1
                value = self._node(next(self._events), 0)
        return value

    def _node(self, event: yaml.Event, depth: int) -> Value:
        if depth > _DEEPEST:
            raise YamlError(f"it is nested deeper than {_DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor or "")
        nodes, scalars, aliases = self._nodes, self._scalars, len(self._aliases)
        self._count(1)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            # Until the value is complete, an alias to it would stand within itself.
            self._anchors.pop(anchor, None)
        value = self._content(event, depth)
        if anchor is not None:
            within = self._aliases[aliases:]
            self._anchors[anchor] = _Anchor(value, self._nodes - nodes, self._scalars > scalars, within)
        return value

    def _alias(self, name: str) -> Value:
        anchor = self._anchors.get(name)
        if anchor is None:
            raise YamlError("an alias stands for an anchor that is not there, or for itself")
        anchor.use()
        self._aliases.append(anchor)
        self._count(anchor.nodes)
        return anchor.value

    def _content(self, event: yaml.Event, depth: int) -> Value:
        match event:
            case yaml.ScalarEvent():
                self._scalars += 1
                return self._scalar(event)
            case yaml.SequenceStartEvent():
                self._refuse_tag(event.tag, "seq")
                return [self._node(child, depth + 1) for child in self._children()]
            case yaml.MappingStartEvent():
                self._refuse_tag(event.tag, "map")
                return self._mapping(depth)
        raise YamlError("it is no YAML")

    @staticmethod
    def _refuse_tag(tag: str | None, own: str) -> None:
        if tag is not None and tag.startswith(_TAG) and tag != _TAG + own:
            raise YamlError(f"the tag !!{tag.removeprefix(_TAG)} is not read")

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        text = event.value
        if self._base:
            text = "".join(
                chr(ord(each) - self._base) if 0 <= ord(each) - self._base <= 0xFFFF else each for each in text
            )
        if event.tag is None:
            return self._resolved(text)[1] if event.implicit[0] else text
        name = event.tag.removeprefix(_TAG)
        if name == event.tag or name == "str":
            return text
        if name in _UNREAD:
            raise YamlError(f"the tag !!{name} is not read")
        found, value = self._resolved(text)
        return value if found == name else text

    def _resolved(self, text: str) -> tuple[str, Scalar]:
        try:
            return self._rules(text)
        except ValueError as error:
            raise YamlError(f"it holds {error}") from None

    def _mapping(self, depth: int) -> Value:
        found: dict[str, Value] = {}
        seen: set[tuple[type, Scalar]] = set()
        children = self._children()
        for event in children:
            merges = self._rules is yamlrules.of_1_1 and _is_merge(event)
            key = self._node(event, depth + 1)
            if isinstance(key, list | dict):
                raise YamlError("a key is a list or a mapping")
            value = self._node(next(children), depth + 1)
            if merges:
                _merge(found, value)
                continue
            # Scalars are the same key if JavaScript says so: 1 and 1.0 are, 1 and "1" are not, and NaN is no other NaN.
            kind = float if isinstance(key, int | float) and not isinstance(key, bool) else type(key)
            if (kind, key) in seen and key == key:
                raise YamlError(f"the key {key_text(key)[:60]!r} is given twice")
            seen.add((kind, key))
            found[key_text(key)] = value
        return found

    def _children(self) -> Iterator[yaml.Event]:
        """The first event of each child of a collection; the caller reads the child's other events."""
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                return
            yield event

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > _MOST_NODES:
            raise YamlError(f"it has more than {_MOST_NODES} values")


def _is_merge(event: yaml.Event) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0] and event.tag is None


def _merge(found: dict[str, Value], value: Value) -> None:
    """The merge of YAML 1.1: keys that are there already are kept, and so are those of an earlier source."""
    for source in value if isinstance(value, list) else [value]:
        if not isinstance(source, dict):
            raise YamlError("what is merged (<<) is not a mapping")
        for key, child in source.items():
            found.setdefault(key, child)
