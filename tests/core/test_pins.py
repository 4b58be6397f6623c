"""Which values a pinned revision is filled with: never one that was meant for another place."""

from __future__ import annotations

import json

from hublet.core.pins import pinned, pins, served
from hublet.core.questions import Assistant, Slug
from hublet.core.records import Content, Hole, Record, Template, View, render
from hublet.core.secretstr import SecretStr

DEV = Assistant(None, False, Slug("acme", "dev"))
CLEAR = View(True, lambda url: url)


def content(models: list[dict[str, str]], **bindings: str) -> Content:
    """A content whose texts `<NAME>` are holes of those names."""
    text = json.dumps({"configResult": {"config": {"models": models}}})
    holes = []
    while "<" in text:
        start, end = text.index("<"), text.index(">")
        holes.append(Hole(len(text[:start].encode()), "secret", text[start + 1 : end]))
        text = text[:start] + text[end + 1 :]
    return Content(Template(text.encode(), tuple(holes)), {k: SecretStr(v) for k, v in bindings.items()})


def shown(old: Content, new: Content) -> list[dict[str, str]]:
    present = Record(new, DEV, 1.0)
    (pin,) = pins({DEV: present, pinned(DEV, "abc", old, 9.0, 2.0).source: pinned(DEV, "abc", old, 9.0, 2.0)}, 3.0)
    result = served(pin, present)
    models: list[dict[str, str]] = json.loads(render(result.content.template, result.content.bindings, CLEAR))[
        "configResult"
    ]["config"]["models"]
    return models


def test_a_named_value_is_the_present_one() -> None:
    old = content([{"model": "old", "apiKey": "<KEY>"}])
    assert shown(old, content([{"model": "new", "apiKey": "<KEY>"}], KEY="now")) == [{"model": "old", "apiKey": "now"}]


def test_a_name_that_is_gone_stays_a_reference() -> None:
    old = content([{"model": "old", "apiKey": "<KEY>"}])
    assert shown(old, content([{"model": "new"}])) == [{"model": "old", "apiKey": "${{ secrets.KEY }}"}]


NAMELESS = "unnamed/config/models/0/apiKey"


def test_a_value_without_a_name_goes_into_the_same_item_only() -> None:
    same = {"model": "same", "apiKey": f"<{NAMELESS}>"}
    values = {NAMELESS: "value"}
    assert shown(content([same, {"model": "old"}]), content([same], **values))[0]["apiKey"] == "value"
    other = {"model": "other", "apiKey": f"<{NAMELESS}>"}
    assert shown(content([other]), content([same], **values))[0]["apiKey"] == f"${{{{ secrets.{NAMELESS} }}}}"


def test_a_pin_ends_by_itself() -> None:
    record = pinned(DEV, "abc", content([]), 9.0, 2.0)
    assert pins({record.source: record}, 8.9)
    assert not pins({record.source: record}, 9.0)
    forever = pinned(DEV, "abc", content([]), float("inf"), 2.0)
    assert pins({forever.source: forever}, 1e12)
