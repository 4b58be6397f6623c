"""Taking replies apart, for the tests of it: small replies, and contents as the Hub said them."""

from __future__ import annotations

from typing import Any

import orjson

from hublet.core import operations as ops
from hublet.core import questions as q
from hublet.core import referring
from hublet.core.records import Content, View, render
from hublet.core.split import Harvest, split

MARK = "@mark:0123456789abcdef:"


def take(operation: ops.Operation, reply: object, blocks: referring.Blocks | None = None) -> Harvest:
    return split(operation, reply, mark=MARK, blocks=blocks)


def rendered(content: Content, *, icons: dict[str, str] | None = None) -> Any:
    """A content as the Hub said it, icons by the address they had."""
    return orjson.loads(render(content.template, content.bindings, View(True, (icons or {}).__getitem__)))


def asst(**changes: Any) -> dict[str, Any]:
    """A small assistant."""
    result = {"config": {"name": "A", "version": "1.0.0"}, "configLoadInterrupted": False}
    item = {"configResult": result, "ownerSlug": "o", "packageSlug": "p", "rawYaml": "name: A\n", "iconUrl": None}
    return item | changes


def one(reply: object) -> Content:
    return take(ops.GetAssistant(None, False, q.Slug("o", "p")), reply).facts[0].content
