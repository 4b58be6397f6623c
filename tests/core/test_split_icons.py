"""Taking replies apart: the addresses of icons, which are signed anew each time."""

from __future__ import annotations

import pytest
from tests.core.splitting import asst, one, rendered, take

from hublet.core import operations as ops


def test_icons_of_the_same_path_are_one_icon() -> None:
    """Two assistants with one icon have two signatures; each body gets its own address back when it is proved."""
    reply = [asst(iconUrl="https://i/1.png?sig=a"), asst(packageSlug="q", iconUrl="https://i/1.png?sig=b#f")]
    harvest = take(ops.ListAssistants(None), reply)
    assert [fact.content.template.holes[0].name for fact in harvest.facts[:2]] == ["https://i/1.png"] * 2
    assert harvest.icons == (("https://i/1.png", "https://i/1.png?sig=b#f"),)


@pytest.mark.parametrize("url", ["https://[broken?x", "HTTPS://I/1.png?x", "https://\t?x", "http:", "https://i/a b?x"])
def test_an_icon_url_that_is_none_breaks_nothing(url: str) -> None:
    """It is cut out as it is; that it can't be fetched is found out later."""
    content = one(asst(iconUrl=url))
    assert rendered(content, icons={url.partition("?")[0]: url})["iconUrl"] == url
    assert b"?x" not in content.template.text


@pytest.mark.parametrize("url", [None, "", "data:image/png;base64,AAAA", "/icons/1.png"])
def test_what_is_no_address_stays(url: str | None) -> None:
    """No icon, an empty text, a data: URL and a path."""
    assert rendered(one(asst(iconUrl=url)))["iconUrl"] == url


def test_an_icon_url_within_a_config_is_the_configs_own() -> None:
    """Only what the Hub signed is an icon."""
    result = {"config": {"name": "A", "iconUrl": "https://x/y?z"}, "configLoadInterrupted": False}
    assert one(asst(configResult=result)).template.holes == ()
