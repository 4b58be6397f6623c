"""What readers who may see no value are shown: in process, with a Hub whose answers hold values."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from hublet.core.errors import HubletError
from hublet.demo.data import USER_SECRETS
from hublet.serve.showing import assistant, assistants, policy
from tests.in_process import in_process


def test_it_is_what_is_served_and_never_a_value(tmp_path: Path) -> None:
    """By place, the personal one first; neither the author's YAML nor the Hub's messages are in it."""

    async def scenario() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()

            async def shown(*segments: str) -> Any:
                return await assistant(it.service, *segments)

            listing: Any = await assistants(it.service)
            owl = next(one for one in listing["assistants"] if one["slug"] == "dana/night-owl")
            assert [place["organization"] for place in owl["places"]] == [None, "acme"]
            assert [one["slug"] for one in listing["organizations"]] == ["acme", "initech"]
            mine, theirs = (
                await shown("dana/night-owl"),
                await shown("dana/night-owl", "acme"),
            )
            assert mine["organization"] is None
            assert (
                mine["revision"] == owl["places"][0]["revision"] != theirs["revision"] == owl["places"][1]["revision"]
            )
            assert mine["config"]["models"][0]["apiKey"] == "${{ secrets.ANTHROPIC_API_KEY }}"
            assert (await shown("dana/broken"))["config"] is None
            said = json.dumps([await shown(one["slug"]) for one in listing["assistants"]])
            assert "Written by hand" not in said, "a comment of the author's"
            assert not [value for value in USER_SECRETS.values() if len(value) > 8 and value in said]
            found = policy(it.service)
            assert found["organization"] == "acme"
            assert found["age"] == 0.0
            for wrong in (("no/body",), ("dana/quiet", "acme"), ("x",)):
                with pytest.raises(HubletError):
                    await shown(*wrong)

    asyncio.run(scenario())


def test_a_cache_that_is_not_open_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with in_process(tmp_path) as it:
            kept, it.service.sync = it.service.sync, None
            with pytest.raises(HubletError, match="starting"):
                await assistants(it.service)
            it.service.sync = kept

    asyncio.run(scenario())
