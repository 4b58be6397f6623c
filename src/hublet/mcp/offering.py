"""The handlers of the MCP server: assistants as resources, their instructions as prompts, and the tools.

Every answer is made from what the daemon says at that moment. While no daemon runs, each request is answered with an
error that says so and what to do; the next request asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import mcp_types as types
import orjson
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from hublet import __version__
from hublet.core.errors import HubletError
from hublet.core.instructions import Instruction, one_line
from hublet.mcp.calling import OFFERED
from hublet.mcp.catalogue import Catalogue, Entry
from hublet.mcp.naming import TEMPLATE, slug_of
from hublet.mcp.schemas import misfit
from hublet.mcp.telling import Telling

YAML = "application/yaml"
"""The media type of YAML (RFC 9512)."""
PAGE = 100
"""How many entries one page of a list has."""
_CURSOR = "after:"
_NOT_FOUND = -32002
"""The error code for an unknown resource in protocol versions up to 2025-11-25. From 2026-07-28 on the code for invalid
parameters is used."""
_ABOUT = (
    "A person's Continue Hub assistants from hublet's local cache, also while the Hub is away. Everything is "
    "read-only, and references such as ${{ secrets.NAME }} stand in place of secret values."
)

Context = ServerRequestContext[Any, Any]
T = TypeVar("T")


class Offering:
    """The handlers of one connection. `telling` sends its notifications."""

    def __init__(self, catalogue: Catalogue, telling: Telling) -> None:
        self._catalogue, self._telling = catalogue, telling
        self.server: Server[dict[str, Any]] = Server(
            "hublet",
            version=__version__,
            title="hublet",
            instructions=_ABOUT,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_subscribe_resource=self._subscribe,
            on_unsubscribe_resource=self._unsubscribe,
            on_subscriptions_listen=telling.listen,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_completion=self._complete,
        )
        # The library's middleware would send names of assistants to a collector of traces that the environment names.
        self.server.middleware.clear()
        self.server.add_notification_handler("notifications/initialized", types.NotificationParams, self._initialized)

    def options(self) -> InitializationOptions:
        return self.server.create_initialization_options(
            NotificationOptions(prompts_changed=True, resources_changed=True)
        )

    async def _initialized(self, context: Context, _: types.NotificationParams) -> None:
        self._telling.session = context.session

    # Resources

    async def _list_resources(
        self, _: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        try:
            listing = await self._catalogue.listing()
        except HubletError as error:
            raise _unanswered(error) from None
        shown, cursor = _page(list(listing.assistants.values()), lambda entry: entry.slug, params)
        names = {None: "the personal scope"} | {one["slug"]: one["name"] for one in listing.organizations}
        return types.ListResourcesResult(resources=[_resource(entry, names) for entry in shown], next_cursor=cursor)

    async def _list_templates(
        self, _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        template = types.ResourceTemplate(
            name="assistant",
            title="An assistant",
            uri_template=TEMPLATE,
            description="An assistant as unrolled YAML, with references in place of secret values.",
            mime_type=YAML,
        )
        return types.ListResourceTemplatesResult(resource_templates=[template])

    async def _read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        slug = slug_of(params.uri)
        try:
            listing = await self._catalogue.listing()
            if slug is None or slug not in listing.assistants:
                code = types.INVALID_PARAMS if context.protocol_version in MODERN_PROTOCOL_VERSIONS else _NOT_FOUND
                message = f"there is no resource {one_line(params.uri, 200)}: resources/list names those there are"
                raise MCPError(code, message, {"uri": params.uri})
            text = (await self._catalogue.content(listing.assistants[slug])).to_yaml()
        except HubletError as error:
            raise _unanswered(error) from None
        contents = types.TextResourceContents(uri=params.uri, mime_type=YAML, text=text)
        return types.ReadResourceResult(contents=[contents])

    async def _subscribe(self, _: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        if slug_of(params.uri) is None:
            raise MCPError(_NOT_FOUND, f"there is no resource {one_line(params.uri, 200)}", {"uri": params.uri})
        try:
            self._telling.subscribe(params.uri)
        except OverflowError:
            raise MCPError(types.INVALID_PARAMS, "too many resources are subscribed to already") from None
        return types.EmptyResult()

    async def _unsubscribe(self, _: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        self._telling.unsubscribe(params.uri)
        return types.EmptyResult()

    # Prompts

    async def _list_prompts(self, _: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        try:
            found = await self._catalogue.instructions(await self._catalogue.listing())
        except HubletError as error:
            raise _unanswered(error) from None
        shown, cursor = _page(sorted(found.items()), lambda item: item[0], params)
        return types.ListPromptsResult(prompts=[_prompt(name, *one) for name, one in shown], next_cursor=cursor)

    async def _get_prompt(self, _: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        try:
            found = await self._catalogue.instructions(await self._catalogue.listing())
        except HubletError as error:
            raise _unanswered(error) from None
        if params.name not in found:
            message = f"there is no prompt {one_line(params.name, 200)}: prompts/list names those there are"
            raise MCPError(types.INVALID_PARAMS, message)
        slug, each = found[params.name]
        given = params.arguments or {}
        if unknown := sorted(given.keys() - set(each.arguments)):
            known = ", ".join(each.arguments) or "none"
            message = f"the prompt has no argument {one_line(unknown[0], 40)}; it has: {known}"
            raise MCPError(types.INVALID_PARAMS, message)
        content = types.TextContent(type="text", text=each.filled(given))
        return types.GetPromptResult(
            description=_described(slug, each), messages=[types.PromptMessage(role="user", content=content)]
        )

    # Tools

    async def _list_tools(self, _: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[each.tool for each in OFFERED.values()])

    async def _call_tool(self, _: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        offered = OFFERED.get(params.name)
        if offered is None:
            known = ", ".join(OFFERED)
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {one_line(params.name, 100)}; there are: {known}")
        arguments = params.arguments or {}
        if wrong := misfit(offered.tool, arguments):
            raise MCPError(types.INVALID_PARAMS, wrong)
        try:
            value = await offered.call(self._catalogue, arguments)
        except HubletError as error:
            return types.CallToolResult(content=[_text(_sentence(error))], is_error=True)
        return types.CallToolResult(content=[_text(orjson.dumps(value).decode())], structured_content=value)

    # Completion

    async def _complete(self, _: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        """Complete the owner or the package of the resource template; nothing else can be completed."""
        if not isinstance(params.ref, types.ResourceTemplateReference) or params.ref.uri != TEMPLATE:
            return types.CompleteResult(completion=types.Completion(values=[]))
        try:
            slugs = [slug.partition("/") for slug in (await self._catalogue.listing()).assistants]
        except HubletError as error:
            raise _unanswered(error) from None
        given = params.context.arguments if params.context is not None and params.context.arguments else {}
        if params.argument.name == "owner":
            words = [owner for owner, _, _ in slugs]
        else:
            words = [package for owner, _, package in slugs if given.get("owner", owner) == owner]
        found = sorted({word for word in words if word.startswith(params.argument.value)})
        completion = types.Completion(values=found[:100], total=len(found), has_more=len(found) > 100)
        return types.CompleteResult(completion=completion)


def _page(
    found: Sequence[T], name: Callable[[T], str], params: types.PaginatedRequestParams | None
) -> tuple[Sequence[T], str | None]:
    """One page of a sequence that is sorted by name, and the cursor of the next page (None after the last page).

    The cursor holds the last name of the page, so entries that appear or vanish between two pages shift nothing. Raises
    MCPError for a cursor that was not made here.
    """
    cursor = params.cursor if params is not None else None
    if cursor is not None:
        if not cursor.startswith(_CURSOR):
            raise MCPError(types.INVALID_PARAMS, "that is no cursor of an earlier page")
        found = [one for one in found if name(one) > cursor.removeprefix(_CURSOR)]
    return found[:PAGE], f"{_CURSOR}{name(found[PAGE - 1])}" if len(found) > PAGE else None


def _resource(entry: Entry, names: dict[str | None, str]) -> types.Resource:
    where = ", ".join(one_line(names.get(place["organization"], "an organization"), 80) for place in entry.places)
    pinned = ", pinned" if entry.places[0]["pinned"] else ""
    return types.Resource(
        uri=entry.uri,
        name=one_line(entry.slug, 200),
        title=one_line(entry.title, 200) or None,
        description=f"Assistant of {where}; revision {entry.revision}{pinned}. Unrolled YAML without secret values.",
        mime_type=YAML,
    )


def _prompt(name: str, slug: str, each: Instruction) -> types.Prompt:
    arguments = [types.PromptArgument(name=argument, required=False) for argument in each.arguments]
    return types.Prompt(
        name=name,
        title=one_line(each.name, 200) or None,
        description=_described(slug, each),
        arguments=arguments or None,
    )


def _described(slug: str, each: Instruction) -> str:
    said = one_line(each.description, 300) or one_line(each.text, 120)
    when = f", for {one_line(each.when, 120)}" if each.when else ""
    return f"{each.kind.capitalize()} of {one_line(slug, 100)}{when}: {said}"


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _sentence(error: HubletError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _unanswered(error: HubletError) -> MCPError:
    return MCPError(types.INTERNAL_ERROR, _sentence(error))
