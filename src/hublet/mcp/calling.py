"""The tools that the MCP server offers: the arguments and the result of each. All of them only read.

Arguments are checked against the tool's strict schema before the daemon is asked; arguments that do not fit are a
protocol error. A question that can't be answered (no daemon runs, there is no such assistant) is a tool result that
says so, for the model to read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp_types import Tool

from hublet.core.errors import HubletError
from hublet.core.instructions import one_line
from hublet.core.values import dataclass
from hublet.mcp.catalogue import Catalogue, Entry, Listing
from hublet.mcp.schemas import Schema, array, fields, nullable, number_of, reading_tool, text
from hublet.mcp.searching import search

_STATUS = (
    "version", "state", "state_since", "hub", "logged_in", "started_at", "last_pass_at", "last_success_at", "failures",
    "running", "next_pass_in", "not_before", "lock", "requests", "secrets", "reason", "hint",
)  # fmt: skip
"""The members of the daemon's status that `read_status` returns: no path, no name of a secret, no message of the
Hub."""


@dataclass(frozen=True, slots=True)
class Offered:
    """One tool. `call` is given arguments that fit the tool's schema. It raises HubletError when there is no answer."""

    tool: Tool
    call: Callable[[Catalogue, Mapping[str, Any]], Awaitable[dict[str, Any]]]


async def _organizations(catalogue: Catalogue, _: Mapping[str, Any]) -> dict[str, Any]:
    found = (await catalogue.listing()).organizations
    return {"organizations": [{"slug": one["slug"], "name": one_line(one["name"], 200)} for one in found]}


async def _assistants(catalogue: Catalogue, arguments: Mapping[str, Any]) -> dict[str, Any]:
    listing = await catalogue.listing()
    wanted = arguments.get("organization")
    if wanted is not None:
        _known_organization(listing, wanted)
    found = [
        (entry, place)
        for entry in listing.assistants.values()
        for place in ([one for one in entry.places if one["organization"] == wanted] if wanted else entry.places[:1])
    ]
    first = arguments.get("offset", 0)
    shown = found[first : first + arguments.get("limit", 100)]
    return {
        "assistants": [
            {
                "assistant": entry.slug,
                "title": one_line(entry.title, 200),
                "uri": entry.uri,
                "organizations": [one["organization"] for one in entry.places],
                "revision": place["revision"],
                "pinned": place["pinned"],
                "grade": place["grade"],
            }
            for entry, place in shown
        ],
        "total": len(found),
    }


async def _assistant(catalogue: Catalogue, arguments: Mapping[str, Any]) -> dict[str, Any]:
    listing, wanted = await catalogue.listing(), arguments.get("organization")
    entry = _entry(listing, arguments["assistant"])
    if wanted is not None:
        _known_organization(listing, wanted)
        if all(place["organization"] != wanted for place in entry.places):
            raise HubletError(f"the organization {wanted} does not list {entry.slug}", hint="list_assistants tells")
    held = await catalogue.content(entry, wanted)
    return {
        "assistant": held.slug,
        "title": one_line(held.title, 200),
        "uri": held.uri,
        "organization": held.organization,
        "revision": held.revision,
        "yaml": held.to_yaml(),
    }


async def _search(catalogue: Catalogue, arguments: Mapping[str, Any]) -> dict[str, Any]:
    listing = await catalogue.listing()
    only = arguments.get("assistant")
    if only is not None:
        _entry(listing, only)
    found = search(await catalogue.instructions(listing), arguments["query"], arguments.get("kind"), only)
    return {"matches": found[: arguments.get("limit", 20)], "total": len(found)}


async def _policy(catalogue: Catalogue, _: Mapping[str, Any]) -> dict[str, Any]:
    return dict(await catalogue.asked("/policy"))


async def _status(catalogue: Catalogue, _: Mapping[str, Any]) -> dict[str, Any]:
    status = await catalogue.asked("/status")
    held = status.get("quarantine", ())
    # Of what is in quarantine only the name is told: the differences quote addresses and commands.
    waiting = [{"what": one["what"], "since": one["since"]} for one in held if not one["what"].startswith("secret ")]
    return {name: status[name] for name in _STATUS if name in status} | {"quarantine": waiting}


def _entry(listing: Listing, slug: str) -> Entry:
    if slug not in listing.assistants:
        raise HubletError(f"there is no assistant {one_line(slug, 100)}", hint="list_assistants names those there are")
    return listing.assistants[slug]


def _known_organization(listing: Listing, slug: str) -> None:
    if all(one["slug"] != slug for one in listing.organizations):
        hint = "list_organizations names those there are"
        raise HubletError(f"there is no organization {one_line(slug, 100)}", hint=hint)


_SLUG = text("An assistant's name, OWNER/PACKAGE.", pattern="^[^/]+/[^/]+$", maxLength=500)
_ORGANIZATION = text("An organization's slug, as list_organizations tells it.", minLength=1, maxLength=200)
_GRADES = ["fresh", "stale", "expired"]
_KINDS = ["rule", "prompt"]
_COUNT: Schema = {"type": "integer", "minimum": 0}

_OFFERED = (
    Offered(
        reading_tool(
            "list_organizations",
            "List organizations",
            "The organizations of the Continue Hub account, from hublet's cache.",
            fields(),
            fields(organizations=array(fields(slug=text(), name=text()))),
        ),
        _organizations,
    ),
    Offered(
        reading_tool(
            "list_assistants",
            "List assistants",
            "The assistants that hublet has cached: all of them, or those of one organization.",
            fields(
                "organization limit offset",
                organization=_ORGANIZATION,
                limit=number_of("How many at most.", 1, 100, 500),
                offset=number_of("How many to pass over first.", 0, 0),
            ),
            fields(
                assistants=array(
                    fields(
                        assistant=text(),
                        title=text(),
                        uri=text(),
                        organizations=array(nullable(text())),
                        revision=text(),
                        pinned={"type": "boolean"},
                        grade=text(enum=_GRADES),
                    )
                ),
                total=_COUNT,
            ),
        ),
        _assistants,
    ),
    Offered(
        reading_tool(
            "get_assistant",
            "Get an assistant",
            "One assistant as unrolled YAML: models, rules, prompts, MCP servers, context. References stand in place "
            "of secret values.",
            fields("organization", assistant=_SLUG, organization=_ORGANIZATION),
            fields(
                assistant=text(),
                title=text(),
                uri=text(),
                organization=nullable(text()),
                revision=text(),
                yaml=text(),
            ),
        ),
        _assistant,
    ),
    Offered(
        reading_tool(
            "search_instructions",
            "Search rules and prompts",
            "Find rules and prompts of all assistants by words, in any case and order; each word has to be in the "
            "name, the description or the text. `prompt` is the name under which prompts/get has it whole.",
            fields(
                "kind assistant limit",
                query=text("Words to look for.", minLength=1, maxLength=200, pattern="\\S"),
                kind=text("Only rules, or only prompts.", enum=_KINDS),
                assistant=_SLUG,
                limit=number_of("How many at most.", 1, 20, 50),
            ),
            fields(
                matches=array(
                    fields(
                        assistant=text(),
                        kind=text(enum=_KINDS),
                        name=text(),
                        prompt=text(),
                        description=text(),
                        excerpt=text(),
                    )
                ),
                total=_COUNT,
            ),
        ),
        _search,
    ),
    Offered(
        reading_tool(
            "read_policy",
            "Read the policy",
            "The policy that an organization sets for clients, and its age in seconds; null when there is none.",
            fields(),
            fields(
                policy=nullable({"type": "object"}),
                organization=nullable(text()),
                grade=nullable(text(enum=_GRADES)),
                age=nullable({"type": "number"}),
            ),
        ),
        _policy,
    ),
    Offered(
        reading_tool(
            "read_status",
            "Read the status",
            "How hublet is: whether the Hub answers, the last sync, whether it is locked, what is held back.",
            fields(),
            {"type": "object", "properties": {"version": text(), "state": text()}, "required": ["version", "state"]},
        ),
        _status,
    ),
)

OFFERED: Mapping[str, Offered] = {each.tool.name: each for each in _OFFERED}
"""Every tool by its name."""
