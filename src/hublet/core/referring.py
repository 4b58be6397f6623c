"""What an assistant refers to in the YAML of its author: the registry packages that it uses, and the secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hublet.core.messages import is_segment
from hublet.core.places import SECTIONS
from hublet.core.questions import LATEST, Fqsn, Slug
from hublet.core.yamltree import Leaf, Tree

VARIABLE = re.compile(r"\$\{\{[ \t]*((?:(?!\$\{\{)[^}\s])+)[ \t]*\}\}")
"""Continue's template variable; its name is one run of characters other than `}` and white space. (No variable begins
within another: that keeps the search linear.)"""

PREFIX = "secrets."

Blocks = Mapping[str, str]
"""The texts of the packages that an assistant uses, by what its `uses:` says."""


def uses(raw: Tree) -> tuple[str, ...]:
    """The registry packages that an assistant's YAML uses, as they are written there, each once."""
    found: dict[str, None] = {}
    for section in SECTIONS:
        items = raw.get(section) if isinstance(raw, dict) else None
        for item in items if isinstance(items, list) else []:
            text = item.get("uses") if isinstance(item, dict) else None
            if isinstance(text, Leaf) and block_of(text.text) is not None:
                found[text.text] = None
    return tuple(found)


def referred(slug: Slug, raw: Tree, blocks: Blocks | None = None) -> tuple[Fqsn, ...]:
    """The fully qualified names of the secrets that an assistant refers to, in order of first appearance.

    Outside of `with`, `secrets.X` is the assistant's own. Inside the `with` of an item it is referred to through the
    block that the item uses, and so are the secrets that the text of the block refers to.
    """
    names: dict[Fqsn, None] = {}

    def visit(tree: Tree, packages: tuple[Slug, ...]) -> None:
        match tree:
            case dict():
                used = tree.get("uses")
                package = block_of(used.text) if isinstance(used, Leaf) else None
                for key, child in tree.items():
                    visit(child, (slug, package[0]) if key == "with" and package is not None else packages)
                if isinstance(used, Leaf) and package is not None:
                    for name in VARIABLE.findall((blocks or {}).get(used.text, "")):
                        if name.startswith(PREFIX):
                            names[Fqsn((slug, package[0]), name.removeprefix(PREFIX))] = None
            case list():
                for child in tree:
                    visit(child, packages)
            case Leaf(text=text):
                for name in VARIABLE.findall(text):
                    if name.startswith(PREFIX):
                        names[Fqsn(packages, name.removeprefix(PREFIX))] = None

    if isinstance(raw, dict):
        for section in (*SECTIONS, "requestOptions"):
            visit(raw.get(section), (slug,))
    return tuple(names)


def block_of(text: str) -> tuple[Slug, str] | None:
    """(slug, version) of a `uses:` that says `owner/package[@version]`; None for a file, and for a text that is
    neither."""
    if text.startswith((".", "/", "~", "file:")):
        return None
    name, _, version = text.partition("@")
    try:
        slug = Slug.parse(name)
    except ValueError:
        return None
    version = version or LATEST
    return (slug, version) if all(map(is_segment, (slug.owner, slug.package, version))) else None
