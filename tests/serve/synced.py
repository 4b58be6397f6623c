"""A hublet that is logged in and synced, with its own time, and the words in which its tests speak."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from hublet.core.messages import Response
from hublet.demo.data import USER_SECRETS
from tests.in_process import InProcess, in_process

LIST = "/ide/list-assistants"
ONE = "/ide/get-assistant/dana/rust-smith"
CACHED = (
    LIST,
    ONE,
    "/ide/list-assistants?organizationId=org_acme",
    "/ide/list-organizations",
    "/ide/policy",
    "/ide/free-trial-status",
    "/ide/list-assistant-full-slugs",
)
EVERY = 900.0
LLM_KEY = USER_SECRETS["LLM_KEY"]

Story = Callable[[InProcess], Awaitable[None]]


def told(path: Path, story: Story, **how: object) -> None:
    """Tell a story of a hublet that is logged in and synced."""

    async def telling() -> None:
        async with in_process(path, **how) as it:  # type: ignore[arg-type]
            summary = await it.log_in()
            assert summary.problems == ()
            it.hub.forget_requests()
            it.orders.clear()
            await story(it)

    asyncio.run(telling())


def fqsn(slug: str, name: str) -> dict[str, object]:
    owner, _, package = slug.partition("/")
    return {"packageSlugs": [{"ownerSlug": owner, "packageSlug": package}], "secretName": name}


def asked(it: InProcess) -> list[str]:
    """What the Hub was asked since it was last forgotten."""
    return [seen.target for seen in it.hub.requests]


def cache_status(response: Response) -> str:
    return response.header("Cache-Status") or ""


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.001)
