"""A change at the Hub reaches an MCP client as a notification, over restarts of the daemon; and hostile names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from mcp_types import (
    PromptListChangedNotification,
    ResourceListChangedNotification,
    ResourceUpdatedNotification,
)

from hublet.demo.server import HubServer
from tests.mcp.speaking import all_prompts, all_resources, run, speaking, text_of
from tests.running import Home

OWL, QUIET = "hublet://dana/night-owl", "hublet://dana/quiet"
NEW = "name: New\nversion: 1.0.0\nschema: v1\nmodels:\n  - {name: m, provider: ollama, model: m}\nrules: [Be new.]\n"


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():
            await asyncio.sleep(0.05)


async def sync(home: Home) -> None:
    done = await asyncio.to_thread(home.hublet, "sync")
    assert done.returncode == 0, done.stderr


# The client says that later protocols have another way: this is about those that have not.
@pytest.mark.filterwarnings("ignore:resources/(un)?subscribe is removed")
def test_a_client_with_a_handshake_is_told_what_it_subscribed_to(logged_in: Home, hub_server: HubServer) -> None:
    """And both lists; nothing of a resource that it did not subscribe to, nothing when nothing has changed."""

    async def conversation() -> None:
        heard: list[object] = []

        def updated() -> list[str]:
            return [str(one.params.uri) for one in heard if isinstance(one, ResourceUpdatedNotification)]

        def count(kind: type[object]) -> int:
            return sum(isinstance(one, kind) for one in heard)

        async with speaking(logged_in, heard=heard.append) as client:
            await all_resources(client)
            await client.subscribe_resource(OWL)
            await client.subscribe_resource(QUIET)
            await client.unsubscribe_resource(QUIET)
            await sync(logged_in)
            hub_server.hub.edit_assistant("dana/night-owl", "comes with a test", "comes with two tests")
            hub_server.hub.edit_assistant("dana/quiet", "qwen3-8b", "qwen3-9b")
            await sync(logged_in)
            await until(lambda: updated() == [OWL])
            assert "two tests" in text_of(await client.read_resource(OWL))
            assert count(ResourceListChangedNotification) == 0, "revisions are in no list's order"
            assert count(PromptListChangedNotification) == 0, "and no prompt has another name"
            hub_server.hub.put_assistant("dana/new", NEW)
            await sync(logged_in)
            await until(lambda: count(ResourceListChangedNotification) == 1 == count(PromptListChangedNotification))
            assert "hublet://dana/new" in {one.uri for one in await all_resources(client)}
            assert "dana/new/rule-1" in {one.name for one in await all_prompts(client)}
            assert updated() == [OWL]
            done = await asyncio.to_thread(logged_in.hublet, "pin", "dana/night-owl@previous")
            assert done.returncode == 0, done.stderr
            await until(lambda: updated() == [OWL, OWL])
            assert "two tests" not in text_of(await client.read_resource(OWL)), "what is served"

    with logged_in.daemon():
        run(conversation())


def test_a_client_without_a_handshake_listens(logged_in: Home, hub_server: HubServer) -> None:
    """By one request, as of 2026-07-28; what changed while the daemon was down is told when it is back."""

    async def conversation() -> None:
        async with speaking(logged_in, "2026-07-28") as client:
            asked = client.listen(resource_subscriptions=[OWL], resources_list_changed=True, prompts_list_changed=True)
            with logged_in.daemon():
                await sync(logged_in)
                await all_resources(client)
                async with asked as events:
                    hub_server.hub.edit_assistant("dana/night-owl", "comes with a test", "comes with two tests")
                    await sync(logged_in)
                    seen = [repr(await anext(events))]
                    while not any("night-owl" in one for one in seen):
                        seen.append(repr(await anext(events)))
            async with client.listen(resources_list_changed=True) as events:
                hub_server.hub.put_assistant("dana/new", NEW)
                with logged_in.daemon():
                    await sync(logged_in)
                    assert "ResourcesListChanged" in repr(await anext(events))

    run(conversation())


HOSTILE = "dana/%2e%2e \u202e<img src=x onerror=alert(1)>"
HOSTILE_SOURCE = """\
name: "\\e[2J\\u202e<script>alert(1)</script>"
version: 1.0.0
schema: v1
models:
  - {name: m, provider: ollama, model: m}
rules:
  - name: "same \\u202e name"
    rule: "text \\e[31m with \\u202e <b>everything</b>"
  - name: same name
    rule: another
  - name: same-name-2
    rule: a third
  - rule without a name
  - name: "../../etc/passwd\\0"
    rule: path
prompts:
  - name: same name
    prompt: "{{{ input }}} and {{ input }} and ${{ secrets.X }} and {{{{ odd }}}}"
"""


def test_hostile_names_are_told_apart_and_change_nothing_but_text(logged_in: Home, hub_server: HubServer) -> None:
    """Titles and names are one line without anything that a terminal obeys; contents are to the letter."""
    hub_server.hub.put_assistant(HOSTILE, HOSTILE_SOURCE)

    async def conversation() -> None:
        async with speaking(logged_in) as client:
            (resource,) = [one for one in await all_resources(client) if "%3Cimg" in one.uri]
            assert resource.uri == "hublet://dana/%252e%252e%20%E2%80%AE%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"
            assert "rule without a name" in text_of(await client.read_resource(resource.uri))
            prompts = [one for one in await all_prompts(client) if "<img" in one.name]
            for shown in (resource.title, resource.name, resource.description, *(one.name for one in prompts)):
                assert shown is not None
                assert shown.isprintable()
            assert len({one.name for one in prompts}) == len(prompts) == 6
            texts = [text_of(await client.get_prompt(one.name)) for one in prompts]
            assert "text \x1b[31m with \u202e <b>everything</b>" in texts
            (template,) = [one for one in prompts if one.arguments]
            assert [argument.name for argument in template.arguments or ()] == ["input"]
            filled = await client.get_prompt(template.name, {"input": "{{ input }} $x \\1"})
            said = "{{ input }} $x \\1"
            assert text_of(filled) == f"{said} and {said} and ${{{{ secrets.not_found:X }}}} and {{{{{{{{ odd }}}}}}}}"

    with logged_in.daemon():
        assert logged_in.hublet("sync").returncode == 0
        run(conversation())
