"""The page in a real Chromium, for everybody: by keyboard, with a screen reader, at every width, in light and dark."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import pytest

from tests.ui.stage import EVIL, IN_A_BROWSER, PARTS, Stage, violations

pytestmark = IN_A_BROWSER


WIDTHS = (320, 1280, 2560)
BETWEEN = (390, 600, 737, 900, 961, 1100, 1439, 1441, 1920, 2239, 2241)
PICTURES = "HUBLET_TEST_PICTURES"
"""Names a folder that gets the screenshots; without it they are left with the test's other files."""


_COMPARE = "[...document.querySelectorAll('#view button')].find(one => one.textContent === 'Compare')"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(stage: Stage, axe: str, dark: bool) -> None:
    """In every part, wide and narrow, with something held back, a difference open, and the question asked."""
    with stage.hub.changing() as world:
        kept, world.organizations["org_acme"].roster = world.organizations["org_acme"].roster, []
    stage.hub.edit_assistant("dana/rust-smith", "Run clippy", f"Run clippy {'in the dark' if dark else 'by day'}")
    stage.sync()
    stage.tab.scheme(dark=dark)
    found: dict[str, list[str]] = {}
    for width in (1280, 320):
        stage.tab.resize(width)
        for part in PARTS:
            stage.look(part)
            if part == "history":
                stage.tab.until(f"{_COMPARE} !== undefined")
                stage.tab.run(f"{_COMPARE}.click()")
                stage.tab.until("document.querySelector('.differences') !== null")
            if part == "held":
                stage.tab.until("document.querySelector('#view button') !== null")
                stage.tab.run("document.querySelector('#view button').click()")
                found[f"question {width}"] = violations(stage.tab, axe)
                stage.tab.key("Escape", code=27)
            found[f"{part} {width}"] = violations(stage.tab, axe)
    stage.tab.resize(1280)
    with stage.hub.changing() as world:
        world.organizations["org_acme"].roster = kept
    stage.sync()
    assert {where: lines for where, lines in found.items() if lines} == {}


_STOP = """(() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return [one.textContent.trim() || one.ariaLabel, outlined, box.width > 0 && box.top >= 0];
})()"""


def test_it_is_walked_through_by_keyboard(stage: Stage) -> None:
    """The first stop leads past the frame; every stop is seen and has a name; a part that is entered gets the focus."""
    stage.look("assistants")
    stage.tab.call("Page.reload")
    stage.tab.until("document.querySelector('#view tbody tr') !== null")
    stops = []
    for _ in range(14):
        stage.tab.key("Tab", code=9)
        stops.append(stage.tab.run(_STOP))
    assert all(name and outlined and seen for name, outlined, seen in stops), stops
    names = [name for name, _, _ in stops]
    assert {"Sync now", "Overview", "Checks", "dana/local-chat"} <= set(names), names
    assert "Skip to the content" in names
    stage.look("secrets")
    assert stage.tab.until("document.activeElement.textContent === 'Secrets'")
    assert stage.tab.run("[...document.querySelectorAll('h1')].length") == 1
    assert stage.tab.run("['header','nav','main'].every(name => document.querySelectorAll(name).length === 1)")


_TOO_WIDE = """(() => {
  const { scrollWidth } = document.documentElement;
  if (scrollWidth <= innerWidth) return [];
  const out = [...document.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > innerWidth);
  return [scrollWidth, innerWidth, ...out.slice(0, 9).map((one) => one.outerHTML.slice(0, 150))];
})()"""
"""What makes the page wider than its window, if anything does."""


def test_it_looks_well_at_every_width(stage: Stage, tmp_path: Path) -> None:
    """Pictures of every part in light and dark: none blank, none wider than its window; and nothing moves where a
    person wants no motion."""
    folder = Path(os.environ.get(PICTURES) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    stage.hub.put_assistant("dana/evil", f"name: {json.dumps(EVIL)}\nversion: 1.0.0\nschema: v1\nrules: []\n")
    with stage.hub.changing() as world:
        world.organizations["org_acme"].name = EVIL
    stage.sync()
    for dark in (False, True):
        stage.tab.scheme(dark=dark)
        for width in WIDTHS:
            stage.fit(width)
            for part in PARTS:
                stage.look(part)
                stage.settle()
                picture = stage.tab.screenshot()
                (folder / f"{part}-{width}-{'dark' if dark else 'light'}.png").write_bytes(picture)
                assert is_drawn(picture), f"{part} at {width}"
                assert stage.tab.run(_TOO_WIDE) == [], f"{part} at {width}"
                ground = stage.tab.run("getComputedStyle(document.body).backgroundColor")
                assert (sum(map(int, ground[4:-1].split(","))) < 200) == dark
    for width in BETWEEN:
        stage.fit(width)
        for part in PARTS:
            stage.look(part)
            stage.settle()
            assert stage.tab.run(_TOO_WIDE) == [], f"{part} at {width}"
    stage.tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert stage.tab.run("getComputedStyle(document.querySelector('button')).transitionDuration") == "0s"
    stage.tab.scheme(dark=False)
    stage.tab.resize(1280)


def is_drawn(picture: bytes) -> bool:
    """Whether a PNG is no blank: its rows, as they are filtered, would be zeros."""
    assert picture.startswith(b"\x89PNG")
    data, at = b"", 8
    while at < len(picture):
        size = int.from_bytes(picture[at : at + 4])
        if picture[at + 4 : at + 8] == b"IDAT":
            data += picture[at + 8 : at + 8 + size]
        at += size + 12
    return len(set(zlib.decompress(data))) > 64
