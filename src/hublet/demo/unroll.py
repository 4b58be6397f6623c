"""What the Hub does to an author's YAML before it serves it: unroll the blocks, name secrets in full, render them.

Unlike the real Hub, which fills secrets into YAML text, this fills them into the parsed tree. So a value can't break
out of its string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from hublet.demo.data import Organization, World
from hublet.demo.lookup import location, resolve

_VARIABLE = re.compile(r"\$\{\{\s*([^}\s]+)\s*\}\}")
_SECTIONS = ("models", "context", "data", "mcpServers", "prompts", "docs", "rules")
_KEPT = ("name", "version", "requestOptions")
_NAMED_BY_OWNER = {"user", "organization", "package", "models_add_on", "free_trial"}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Json = Any


class Unusable(Exception):
    """The author's text is not an assistant, which is a fatal error."""


@dataclass
class Unrolled:
    """The config, its non-fatal errors, and the full secret names in the order in which the Hub resolves them."""

    config: dict[str, Json]
    errors: list[dict[str, Json]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def unroll(world: World, slug: str, source: str, org: Organization | None, *, proxied: bool) -> Unrolled:
    """The config of an assistant as clients in a scope get it. Raises Unusable when the text is not an assistant."""
    found = _unroll_blocks(world, _parse(source))
    found.names = list(dict.fromkeys(f"{slug}/{name}" for name in _secret_names(found.config)))
    rendered = {name: _rendered(world, name, org, proxied) for name in found.names}
    filled = _each_string(found.config, lambda text: _fill(text, lambda name: rendered.get(f"{slug}/{name}")))
    found.config = filled
    for model in filled.get("models") or ():
        if isinstance(model, dict):
            _use_proxy(model, slug, org)
    return found


def _parse(source: str) -> dict[str, Json]:
    try:
        parsed = yaml.load(source, Loader=_LOADER)  # noqa: S506  # a safe loader
    except yaml.YAMLError as error:
        raise Unusable(f"Failed to parse assistant:\n{error}") from None
    if not isinstance(parsed, dict) or not isinstance(parsed.get("name"), str):
        raise Unusable("Failed to parse assistant:\nname: Required")
    for section in _SECTIONS:
        if not isinstance(parsed.get(section), list | None):
            raise Unusable(f"Failed to parse assistant:\n{section}: Expected array")
    return parsed


def _unroll_blocks(world: World, parsed: dict[str, Json]) -> Unrolled:
    out = Unrolled({key: parsed[key] for key in _KEPT if key in parsed})
    for section in _SECTIONS:
        if parsed.get(section) is None:
            continue
        out.config[section] = items = []
        for item in parsed[section]:
            if not isinstance(item, dict) or "uses" not in item:
                items.append(item)
                continue
            try:
                items.append(_block(world, section, item))
            except LookupError as error:
                uses = item["uses"]
                text = f"{error.args[0]}:\n{uses}" if section == "rules" else f'{error.args[0]}.\n> "{uses}"'
                out.errors.append({"fatal": False, "message": text})
                items.append(None)
        out.config[section] = _without_twins(section, items)
    return out


def _block(world: World, section: str, item: dict[str, Json]) -> Json:
    slug, _, version = str(item["uses"]).partition("@")
    text = world.block(slug, version or None)
    if text is None:
        raise LookupError(f"Block {slug} not found")

    def in_block(name: str) -> str:
        return f"${{{{ secrets.{slug}/{name} }}}}"

    given = {k: _fill(v, in_block) for k, v in (item.get("with") or {}).items() if isinstance(v, str)}
    missing: dict[str, None] = {}

    def one(match: re.Match[str]) -> str:
        kind, _, name = match[1].partition(".")
        if kind == "inputs" and name not in given:
            missing[name] = None
        return given.get(name, match[0]) if kind == "inputs" else in_block(name) if kind == "secrets" else match[0]

    text = _VARIABLE.sub(one, text)
    if missing:
        names = ", ".join(missing)
        raise LookupError(
            f'Missing required input(s) for block "{slug}": {names}. Please provide these values in the "with" block.'
        )
    block = _parse_block(text, slug)
    if section == "mcpServers" and block.get(section):
        block[section][0]["sourceSlug"] = slug
    first = (block.get(section) or [None])[0]
    override = item.get("override") or {}
    return {**first, **override} if override and isinstance(first, dict) and section != "rules" else first


def _parse_block(text: str, slug: str) -> dict[str, Json]:
    """The sections of a block: one section with one item, as YAML; any other text is a rule in markdown."""
    if not text.startswith("---"):
        parsed = yaml.load(text, Loader=_LOADER)  # noqa: S506  # a safe loader
        sections = [parsed[key] for key in _SECTIONS if key in parsed] if isinstance(parsed, dict) else []
        if len(sections) == 1 and isinstance(sections[0], list) and len(sections[0]) == 1:
            return dict(parsed)
    _, matter, rest = text.split("---\n", 2) if text.startswith("---\n") and text.count("---\n") > 1 else ("", "", text)
    return {"rules": [{"name": slug, **(yaml.load(matter, Loader=_LOADER) or {}), "rule": rest}]}  # noqa: S506


def _without_twins(section: str, items: list[Json]) -> list[Json]:
    seen, kept = set(), []
    for item in items:
        name = item.get("provider" if section == "context" else "name") if isinstance(item, dict) else item
        if name is None or repr(name) not in seen:
            kept.append(item)
        seen.add(repr(name))
    return kept


def _each_string(value: Json, change: Callable[[str], str]) -> Json:
    match value:
        case str():
            return change(value)
        case list():
            return [_each_string(each, change) for each in value]
        case dict():
            return {key: _each_string(each, change) for key, each in value.items()}
    return value


def _fill(text: str, value_of: Callable[[str], str | None]) -> str:
    def one(match: re.Match[str]) -> str:
        kind, _, name = match[1].partition(".")
        value = value_of(name) if kind == "secrets" else None
        return match[0] if value is None else value

    return _VARIABLE.sub(one, text)


def _secret_names(value: Json) -> list[str]:
    found: list[str] = []

    def collect(text: str) -> str:
        found.extend(name[8:] for name in _VARIABLE.findall(text) if name.startswith("secrets."))
        return text

    _each_string(value, collect)
    return found


def _rendered(world: World, full_name: str, org: Organization | None, proxied: bool) -> str:
    *path, name = full_name.split("/")
    result = resolve(world, list(zip(path[::2], path[1::2], strict=False)), name, org)
    if "value" in result and not proxied:
        return str(result["value"])
    return f"${{{{ secrets.{location(result['secretLocation'])} }}}}"


def _place(value: Json) -> str | None:
    """The location that the only variable of a string names; None when it names none."""
    names = list(dict.fromkeys(_secret_names(value))) if isinstance(value, str) else []
    kind = names[0].partition(":")[0] if len(names) == 1 and ":" in names[0] else ""
    return names[0] if kind in _NAMED_BY_OWNER or kind == "not_found" else None


def _use_proxy(model: dict[str, Json], slug: str, org: Organization | None) -> None:
    """Change a model whose key the client must not have, so that it is reached through the Hub's proxy."""
    key = _place(model.get("apiKey"))
    given = model.get("env")
    env = {k: place for k, value in given.items() if (place := _place(value))} if isinstance(given, dict) else {}
    if not key and not env:
        return
    model["model"] = f"{slug}/{model.get('provider', '')}/{model.get('model', '')}"
    model["provider"] = "continue-proxy"
    model.pop("apiKey", None)
    model.update({"apiKeyLocation": key} if key else {})
    model.update({"envSecretLocations": env} if env else {})
    model["orgScopeId"] = org.id if org else None
    model["onPremProxyUrl"] = org.on_prem_proxy_url if org else None
