"""Finding the secrets of an assistant: which strings of its unrolled config are secret values, and of which secrets.

The Hub renders an assistant before it sends it: every secret of the user stands in clear wherever its variable stood.
To find the values, each string of the config is compared with what the author wrote at the same place (in `rawYaml`).
If that was `Bearer ${{ secrets.X }}`, all behind `Bearer ` is the value of X. A string at a place for secrets
(`apiKey`, `env`, `headers`, `args`, `url`, `params`...) that no reference explains is taken for a secret without a
name. Values are never searched for in texts: they repeat, they are parts of other words, some are one character long.

A string in `args`, `url` and `params` that the author wrote just so is no secret: a locked cache goes on serving it. In
`apiKey`, `env` and `headers` it is one all the same, since it was pasted there; so it is in rawYaml. Where nobody can
tell what is secret, the whole is hidden: a string in which the author refers to a secret, but which does not fit what
the author wrote, and a rawYaml that can't be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice

from hublet.core import yamltree
from hublet.core.places import SECTIONS, Path, Pieces
from hublet.core.records import UNNAMED
from hublet.core.referring import PREFIX, VARIABLE, Blocks
from hublet.core.secretstr import SecretStr
from hublet.core.values import dataclass
from hublet.core.yamltree import Leaf, Tree

_FIRST_LINE = re.compile(r"\A[^\r\n\x85\u2028\u2029]*")

_ALWAYS = frozenset({"apiKey", "env", "headers", "requestOptions", "extraBodyProperties"})
_UNLESS_WRITTEN = frozenset({"args", "url", "params"})
_TELLING = re.compile(r"api_?key|token|secret|passw|passphrase|credential|authorization", re.IGNORECASE)
_LOCATIONS = frozenset({"apiKeyLocation", "envSecretLocations"})
"""Below these keys the Hub tells where a value is, and no key is a place for secrets (`secretAccessKey`)."""
_NEVER = frozenset({"name", "version", "schema", "provider", "model", "roles"})
_MOST_COMPARED = 200_000
"""How often the texts of one section are compared with what the author wrote, to find the source of each: enough for
600 texts that all stand at another index than their sources. After that a text without a source is hidden whole."""
_COMPARED_AT_ONCE = 256
"""Characters. A comparison takes as long as the text is: a longer text counts as several."""
_UNTOLD = Leaf("${{ secrets.ONE }}${{ secrets.OTHER }}", 0, 0)
"""Stands for a source that was not looked for any more: a text that was made of this is hidden whole."""


@dataclass(slots=True)
class Found:
    """The holes of one assistant by path, and the values that stood in them."""

    holes: dict[Path, Pieces]
    bindings: dict[str, SecretStr]
    unfilled: bool = False
    """Whether nobody has rendered the config: references stand where values belong."""

    def bind(self, path: Path, name: str | None, value: str) -> str:
        """Bind a value at a path, and return the name of its binding. That is the secret's name, or one made of the
        path: if it has none, or if another value has that name (a secret of a block can be called like the
        assistant's)."""
        if name is None or self.bindings.get(name, SecretStr(value)).reveal() != value:
            name = UNNAMED + "/".join(str(step) for step in path)
            while self.bindings.get(name, SecretStr(value)).reveal() != value:
                name += "+"
        self.bindings[name] = SecretStr(value)
        return name


def find(config: object, raw_yaml: str, raw: Tree, blocks: Blocks | None = None, *, unfilled: bool = False) -> Found:
    """The secrets of an unrolled config and of the YAML text from which it was made.

    Paths begin with `config` or are exactly `("rawYaml",)`. `raw` is the tree of `raw_yaml`, None if it can't be read.
    `blocks` are the texts of the packages that it uses: only with them are the secrets of blocks found by name. If
    nobody has rendered the config (`unfilled`), each reference in it is a hole, with the reference as its value until a
    value of the user's own is served in its place.
    """
    found = Found({}, {}, unfilled)
    written = raw if isinstance(raw, dict) else {}
    if isinstance(config, dict):
        for key, value in config.items():
            if key in SECTIONS and isinstance(value, list):
                sources = _unrolled(key, written.get(key), blocks or {})
                pairs = _pairs(value, sources, "provider" if key == "context" else "name")
                for index, (item, source) in enumerate(pairs):
                    _walk(found, ("config", key, index), item, source, "")
            else:
                _walk(found, ("config", key), value, written.get(key), _place("", key))
    if raw is None and raw_yaml.strip():
        found.holes[("rawYaml",)] = _whole(found, ("rawYaml",), raw_yaml)
    else:
        _cut_pasted(found, raw_yaml, raw)
    return found


def _unrolled(section: str, written: Tree, blocks: Blocks) -> list[Tree]:
    """The items of a section as the author wrote them; the item of the block stands for one that uses a block."""
    return [
        from_block(section, item, blocks) if isinstance(item, dict) and "uses" in item else item
        for item in (written if isinstance(written, list) else [])
    ]


def from_block(section: str, item: Mapping[str, Tree], blocks: Blocks) -> Tree:
    """The tree of the block that an item uses, with its inputs filled in and the item's overrides put over it; of an
    unknown block only the overrides."""
    uses, given, override = item.get("uses"), item.get("with"), item.get("override")
    text = blocks.get(uses.text) if isinstance(uses, Leaf) else None
    found: Tree = None
    if text is not None:
        tree = yamltree.read(text)
        items = tree.get(section) if isinstance(tree, dict) else None
        if isinstance(items, list) and items:
            found = _filled(items[0], given if isinstance(given, dict) else {})
        elif section == "rules":
            # A block that is no YAML is a rule in markdown: its text is what stands below the front matter.
            body = re.sub(r"\A---\n.*?\n---\n", "", text, count=1, flags=re.DOTALL)
            found = _filled({"rule": Leaf(body.strip(), 0, 0)}, given if isinstance(given, dict) else {})
    if isinstance(override, dict):
        return {**(found if isinstance(found, dict) else {}), **override}
    return found


def _filled(tree: Tree, given: Mapping[str, Tree]) -> Tree:
    """A block's tree, with each `inputs.K` replaced by what the assistant passes for K."""

    def fill(match: re.Match[str]) -> str:
        value = given.get(match[1].removeprefix("inputs.")) if match[1].startswith("inputs.") else None
        return value.text if isinstance(value, Leaf) else match[0]

    match tree:
        case dict():
            return {key: _filled(child, given) for key, child in tree.items()}
        case list():
            return [_filled(child, given) for child in tree]
        case Leaf(text, start, end):
            return Leaf(VARIABLE.sub(fill, text), start, end)
    return None


def _pairs(items: list[object], sources: list[Tree], key: str) -> Iterator[tuple[object, Tree]]:
    """Each unrolled item with what the author wrote for it: the item of the same name, else the one at the same index.

    Unrolling keeps the order, leaves a null for an item that failed, drops all but the first of a name, and adds items
    at the end. A text has no name: if it does not fit the source at its index, the first source that it fits is taken.
    """
    named: dict[str, Tree] = {}
    kept: list[Tree] = []
    for source in sources:
        name = _own_name(source, key)
        if name is None or named.setdefault(name, source) is source:
            kept.append(source)
    literals = [VARIABLE.split(source.text)[0::2] if isinstance(source, Leaf) else None for source in kept]
    left = _MOST_COMPARED
    for index, item in enumerate(items):
        name = item.get(key) if isinstance(item, dict) else None
        at = index if len(kept) <= len(items) and index < len(kept) else None
        at_index = kept[at] if at is not None else None
        if isinstance(name, str) and name in named:
            yield item, named[name]
        elif isinstance(item, str) and not (at is not None and _fits(item, literals[at])):
            # Each text against each source is the square of what one author can write.
            compared = 1 + len(item) // _COMPARED_AT_ONCE
            affordable = left // compared
            found = next((i for i, texts in enumerate(islice(literals, affordable)) if _fits(item, texts)), None)
            left -= compared * min(affordable, len(kept) if found is None else found + 1)
            if found is not None:
                yield item, kept[found]
            else:
                yield item, at_index if affordable >= len(kept) else _UNTOLD
        else:
            yield item, at_index


def _own_name(source: Tree, key: str) -> str | None:
    match source:
        case Leaf(text=text):
            return text
        case dict():
            name = source.get(key)
            return name.text if isinstance(name, Leaf) else None
    return None


def _fits(value: str, literals: list[str] | None) -> bool:
    """Whether a text can be what became of a source with these literals; None is a source that is no text."""
    return literals is not None and _inserted(value, literals) is not None


def _inserted(value: str, literals: list[str]) -> list[str] | None:
    """The texts that stand between the literals in `value`, each as short as it can be but the last; None if `value`
    does not consist of the literals so. Linear: a regex with as many groups would try all ways to divide the text."""
    first, *rest = literals
    if not rest:
        return [] if value == first else None
    last = rest.pop()
    end = len(value) - len(last)
    if not value.startswith(first) or not value.endswith(last) or len(first) > end:
        return None
    inserted, done = [], len(first)
    for literal in rest:
        at = value.find(literal, done, end)
        if at < 0:
            return None
        inserted.append(value[done:at])
        done = at + len(literal)
    return [*inserted, value[done:end]]


def _walk(found: Found, path: Path, value: object, source: Tree, place: str) -> None:
    match value:
        case dict():
            children = _merged(source)
            for key, child in value.items():
                _walk(found, (*path, key), child, children.get(key), _place(place, str(key)))
        case list():
            elements = source if isinstance(source, list) and len(source) == len(value) else [None] * len(value)
            for index, child in enumerate(value):
                _walk(found, (*path, index), child, elements[index], place)
        case str():
            pieces = _references(found, path, value) if found.unfilled else None
            if pieces is None:
                pieces = _explain(found, path, value, source, place)
            if pieces is None:
                pieces = _suspect(found, path, value, source, place)
            if len(pieces) > 1:
                found.holes[path] = pieces


def _references(found: Found, path: Path, value: str) -> Pieces | None:
    """The pieces of a text in which each reference to a secret is a hole; None for a text without any."""
    pieces, done = [""], 0
    for match in VARIABLE.finditer(value):
        if match[1].startswith(PREFIX):
            name = match[1].removeprefix(PREFIX)
            pieces[-1] += value[done : match.start()]
            pieces += [found.bind(path, name, match[0]), ""]
            done = match.end()
    pieces[-1] += value[done:]
    return tuple(pieces) if len(pieces) > 1 else None


def _merged(source: Tree) -> Mapping[str, Tree]:
    """A mapping, with the keys that YAML 1.1 merges into it (`<<: *anchor`); empty for any other tree."""
    if not isinstance(source, dict):
        return {}
    merge = source.get("<<")
    found: dict[str, Tree] = {}
    for other in reversed(merge if isinstance(merge, list) else [merge]):
        found |= _merged(other)
    return {**found, **source} if found else source


def _place(place: str, key: str) -> str:
    """The kind of place below a key, empty for none. It stays as an outer key made it, unless this key never holds a
    secret."""
    if place in _ALWAYS or place in _LOCATIONS:
        return place
    if key in _LOCATIONS:
        return key
    if key in _NEVER:
        return ""
    if key in _ALWAYS or _TELLING.search(key):
        return "apiKey"
    return key if key in _UNLESS_WRITTEN else place if place in _UNLESS_WRITTEN else ""


def _explain(found: Found, path: Path, value: str, source: Tree, place: str) -> Pieces | None:
    """The pieces of a string by what the author wrote there: what stands in place of a variable is its value, and
    everything else must be the same. None if the author refers to no secret here."""
    if not isinstance(source, Leaf):
        return None
    parts = VARIABLE.split(source.text)
    texts, names = parts[0::2], parts[1::2]
    if not any(name.startswith(PREFIX) for name in names):
        return None
    if _only_references(value):
        return (value,)
    inserted = _inserted(value, texts) if all(texts[1:-1]) else None
    if inserted is None:
        # Two variables side by side, or a value that has changed the YAML around it: nobody can tell where it ends.
        return _whole(found, path, value) if value else (value,)
    pieces = [texts[0]]
    for name, text, literal in zip(names, inserted, texts[1:], strict=True):
        secret = name.startswith(PREFIX)
        if not text or _only_references(text) or not (secret or place):
            pieces[-1] += text + literal
        else:
            pieces += [found.bind(path, name.removeprefix(PREFIX) if secret else None, text), literal]
    return tuple(pieces)


def _suspect(found: Found, path: Path, value: str, source: Tree, place: str) -> Pieces:
    if not place or place in _LOCATIONS or not value or _only_references(value):
        return (value,)
    if place in _UNLESS_WRITTEN and isinstance(source, Leaf) and source.text == value:
        return (value,)
    return _whole(found, path, value)


def _whole(found: Found, path: Path, value: str) -> Pieces:
    return ("", found.bind(path, None, value), "")


def _only_references(text: str) -> bool:
    """Whether a string consists of references to secrets alone, and so holds no value (an organization's secret stays a
    reference)."""
    parts = VARIABLE.split(text.strip())
    return len(parts) > 1 and not "".join(parts[0::2]) and all(name.startswith(PREFIX) for name in parts[1::2])


def _cut_pasted(found: Found, raw_yaml: str, raw: Tree) -> None:
    """Find the secrets that the author pasted into the YAML itself, instead of referring to them."""
    spans: list[tuple[int, int, Path]] = []

    def visit(tree: Tree, path: Path, place: str) -> None:
        match tree:
            case dict():
                for key, child in tree.items():
                    visit(child, (*path, key), _place(place, key))
            case list():
                for index, child in enumerate(tree):
                    visit(child, (*path, index), place)
            case Leaf(text, start, end):
                if place in _ALWAYS and text and not VARIABLE.search(text) and end > start:
                    spans.append((start, end, path))

    visit(raw, (), "")
    pieces, done = [""], 0
    for start, end, path in sorted(spans):
        if start < done:
            continue  # an alias: its anchor has been cut already
        if raw_yaml[start] in "'\"" and raw_yaml[start] == raw_yaml[end - 1] and end - start >= 2:
            start, end = start + 1, end - 1
        elif raw_yaml[start] in "|>":
            # A block scalar's header and indentation have to stay where they are.
            text = _FIRST_LINE.sub("", raw_yaml[start:end])
            start, end = end - len(text.lstrip()), end - len(text) + len(text.rstrip())
            if start >= end:
                continue
        pieces[-1] += raw_yaml[done:start]
        pieces += [found.bind(("rawYaml", *path), None, raw_yaml[start:end]), ""]
        done = end
    if len(pieces) > 1:
        pieces[-1] += raw_yaml[done:]
        found.holes[("rawYaml",)] = tuple(pieces)
