"""Unrolling: making an author's config into the one that clients read. The blocks that it uses are put in place, its
secrets are named in full, and then rendered.

The algorithm is that of Continue's config-yaml package (`load/unroll.ts`, version 1.42), step by step:

    parse ── each `uses:` fetched, inputs filled in ── overrides ── injected blocks ── duplicates dropped
          ── secrets get their full names ── are rendered ── parsed again ── models without a key go to the proxy

Two things differ on purpose. Secrets are filled into the strings of the tree and not into a YAML text: so a value can't
become anything but text, and a reference that their YAML writer would break over two lines stays one. And what they
write to the `console` is not written. A block that can't be had leaves null in its place and a non-fatal error; only
for a config that can't be read at all NotUsable is raised.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from hublet.core import configschema, yaml12
from hublet.core.packages import File, FqsnError, Package, Source, fqsn_parts, read_location, source_of
from hublet.core.places import SECTIONS
from hublet.core.records import reference
from hublet.core.rulefiles import rule_of
from hublet.core.shapes import Shape, told
from hublet.core.values import dataclass
from hublet.core.variables import INPUTS, SECRETS, each_string, fill, secrets_of, strings, variables
from hublet.core.yaml12 import YamlError

Json = Any


class NotUsable(ValueError):
    """A config or a block can't be read. The message is the one that clients get."""


class NoBlock(Exception):
    """A block can't be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a package or a file. If it is no valid YAML it is taken for a rule in markdown, unless
    `yaml_only`."""

    content: str
    yaml_only: bool = False


Registry = Callable[[Source], Text | None]
"""Gives the text of a block. Returns None or raises NoBlock when there is none."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """How secrets are rendered. `secrets` is called once with all full names in order, and returns what is to stand in
    their place: a value, or a reference to a location (`${{ secrets.user:dana/NAME }}`). A name that it leaves out
    stays as it is. `scope` and `on_prem_proxy` go into models that are reached through the Hub."""

    secrets: Callable[[tuple[str, ...]], Mapping[str, str]]
    scope: str | None = None
    on_prem_proxy: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What an organization may ask for: the only blocks that may be used (`allowed`) and those that may not
    (`blocked`), as `owner/package`; blocks to be added (`injected`); and request options for what the config doesn't
    say."""

    allowed: frozenset[str] | None = None
    blocked: frozenset[str] = frozenset()
    injected: tuple[Source, ...] = ()
    request_options: Mapping[str, Json] | None = None


@dataclass(slots=True)
class Unrolled:
    """An unrolled config, and its non-fatal errors as clients get them."""

    config: dict[str, Json]
    errors: list[dict[str, Json]] = field(default_factory=list)

    def failed(self, message: str) -> None:
        self.errors.append({"fatal": False, "message": message})


_PLAIN_OPTIONS = Options()


def unroll(
    source: Source,
    text: Text,
    registry: Registry,
    rendering: Rendering | None = None,
    options: Options = _PLAIN_OPTIONS,
) -> Unrolled:
    """The unrolled config of a text. Without `rendering` its secrets stay references with full names. Raises
    NotUsable."""
    unrolled = _blocks(_config(text, source), registry, options)
    config = _fill_secrets(unrolled.config, lambda name: reference(f"{source}/{name}"))
    if rendering is not None:
        names = tuple(dict.fromkeys(name for each in strings(config) for name in secrets_of(each)))
        try:
            for name in names:
                fqsn_parts(name)
        except FqsnError as error:
            raise NotUsable(str(error)) from None
        shown = rendering.secrets(names)
        config = _fill_secrets(config, shown.get)
    unrolled.config = _checked(configschema.UNROLLED, config, "Failed to parse config: ")
    if rendering is not None:
        models = unrolled.config.get("models", [])
        models[:] = [_by_proxy(model, source, rendering) for model in models]
    return unrolled


def parse_config(content: str) -> dict[str, Json]:
    """An author's config as a JSON value. Raises NotUsable."""
    return _parsed(configschema.CONFIG, content, "Failed to parse config: ")


def _fill_secrets(config: Json, value_of: Callable[[str], str | None]) -> Json:
    def filled(text: str) -> str:
        values = {f"{SECRETS}{name}": value for name in secrets_of(text) if (value := value_of(name)) is not None}
        return fill(text, values) if values else text

    return each_string(config, filled)


def _parsed(shape: Shape, content: str, failed: str) -> dict[str, Json]:
    try:
        value = yaml12.read(content)
    except YamlError as error:
        raise NotUsable(f"{failed}{error}") from None
    return _checked(shape, value, failed)


def _checked(shape: Shape, value: Json, failed: str) -> dict[str, Json]:
    checked = shape(value)
    if checked.problems or not isinstance(checked.value, dict):
        raise NotUsable(f"{failed}{told(checked.problems)}")
    return checked.value


def _config(text: Text, source: Source) -> dict[str, Json]:
    return _yaml_or_rule(parse_config, text, source)


def _yaml_or_rule(parse: Callable[[str], dict[str, Json]], text: Text, source: Source) -> dict[str, Json]:
    try:
        return parse(text.content)
    except NotUsable:
        if text.yaml_only or (isinstance(source, File) and source.path.endswith((".yaml", ".yml"))):
            raise
        rule = rule_of(text.content, source)
        return {"name": rule["name"], "version": "1.0.0", "rules": [rule]}


# Blocks


def _blocks(config: dict[str, Json], registry: Registry, options: Options) -> Unrolled:
    out = Unrolled({key: config[key] for key in ("name", "version", "requestOptions") if key in config})
    merged = _merged_options(config.get("requestOptions"), options.request_options)
    if merged is not None:
        out.config["requestOptions"] = merged
    twins = _Twins()
    for section in SECTIONS:
        if section in config:
            items = [_item(section, item, registry, options, out) for item in config[section]]
            out.config[section] = [item for item in items if not twins.have(section, item)]
    for source in options.injected:
        _inject(source, registry, twins, out)
    return out


def _item(section: str, item: Json, registry: Registry, options: Options, out: Unrolled) -> Json:
    if not isinstance(item, dict) or "uses" not in item:
        return item
    uses = item["uses"]
    source = source_of(uses)
    try:
        if section != "rules" and not _is_allowed(source, options):
            raise NoBlock(f"{source} is block listed and can not be used.")
        block = _resolved(source, item.get("with") or {}, registry)
    except (NoBlock, NotUsable) as error:
        quoted = json.dumps(uses, ensure_ascii=False)
        out.failed(f"{error}:\n{uses}" if section == "rules" else f"{error}.\n> {quoted}")
        return None
    found = (block.get(section) or [None])[0] or None
    return {**found, **item["override"]} if isinstance(found, dict) and item.get("override") else found


def _is_allowed(source: Source, options: Options) -> bool:
    if isinstance(source, File):
        return True
    return (options.allowed is None or str(source) in options.allowed) and str(source) not in options.blocked


def _resolved(source: Source, given: Mapping[str, str], registry: Registry) -> dict[str, Json]:
    """A block, with its inputs and the full names of its secrets filled into its text. Raises NoBlock or NotUsable."""
    text = registry(source)
    if text is None:
        raise NoBlock(f"Block {source} not found")
    own = _full_names(text.content, source)
    inputs = {f"{INPUTS}{key}": fill(value, _full_names(value, source)) for key, value in given.items()}
    content = fill(text.content, inputs | own)
    missing = [name.removeprefix(INPUTS) for name in variables(content) if name.startswith(INPUTS)]
    if missing:
        raise NoBlock(
            f'Missing required input(s) for block "{source}": {", ".join(missing)}. '
            'Please provide these values in the "with" block.'
        )
    block = _yaml_or_rule(_parse_block, Text(content, text.yaml_only), source)
    if isinstance(source, Package) and block.get("mcpServers"):
        block["mcpServers"][0]["sourceSlug"] = str(source)
    return block


def _parse_block(content: str) -> dict[str, Json]:
    return _parsed(configschema.BLOCK, content, "Failed to parse block: ")


def _full_names(text: str, source: Source) -> dict[str, str]:
    return {f"{SECRETS}{name}": reference(f"{source}/{name}") for name in secrets_of(text)}


_KIND_ORDER = ("context", "models", "docs", "mcpServers", "data", "rules", "prompts")


def _inject(source: Source, registry: Registry, twins: _Twins, out: Unrolled) -> None:
    """Add a block that the config doesn't name. Its inputs are taken from the secrets of the same names."""
    try:
        text = registry(source)
        if text is None:
            raise NoBlock(f"Block {source} not found")
        wanted = [name for name in variables(text.content) if name.startswith(INPUTS)]
        content = fill(text.content, {name: reference(name.removeprefix(INPUTS)) for name in wanted})
        content = fill(content, _full_names(content, source))
        block = _yaml_or_rule(parse_config, Text(content, text.yaml_only), source)
    except (NoBlock, NotUsable) as error:
        out.failed(f"{error}.\n> {source.path if isinstance(source, File) else source}")
        return
    section = next((name for name in _KIND_ORDER if block.get(name)), None)
    if section is not None:
        items = [_from_file(section, item, source) for item in block[section]]
        out.config.setdefault(section, []).extend(item for item in items if not twins.have(section, item))


def _from_file(section: str, item: Json, source: Source) -> Json:
    if not isinstance(source, File):
        return item
    if section == "rules" and isinstance(item, str):
        return {"sourceFile": source.path, "name": item, "rule": item}
    return {**item, "sourceFile": source.path}


class _Twins:
    """Recognizes an item that was there before: by its name, a context by its provider, a rule that is only a text by
    that text."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, type, Json]] = set()

    def have(self, section: str, item: Json) -> bool:
        if item is None:
            return False
        name = item.get("provider" if section == "context" else "name") if isinstance(item, dict) else item
        if isinstance(name, list | dict):
            return False
        key = (section, type(name), name)
        if key in self._seen:
            return True
        self._seen.add(key)
        return False


def _merged_options(own: Json, injected: Mapping[str, Json] | None) -> Json:
    """Request options: the config's own count before the injected ones. Only headers are merged one by one."""
    if own is None or injected is None:
        return own if injected is None else dict(injected)
    headers = {**(injected.get("headers") or {}), **(own.get("headers") or {})}
    merged = {**injected, **own, "headers": headers}  # in this order: the names of secrets are asked for in it
    if not headers:
        del merged["headers"]
    return merged


# The proxy


def _by_proxy(model: Json, source: Source, rendering: Rendering) -> Json:
    """A model is reached through the Hub if its key, or a text of its `env`, is a secret that only the Hub has."""
    if model is None:
        return None
    key = _place(model.get("apiKey"))
    env = {name: place for name, value in (model.get("env") or {}).items() if (place := _place(value)) is not None}
    if key is None and not env:
        return model
    proxied = {
        name: value for name, value in model.items() if name not in ("apiKey", "apiKeyLocation", "envSecretLocations")
    }
    return {
        **proxied,
        "provider": "continue-proxy",
        "model": f"{source}/{model['provider']}/{model['model']}",
        **({"apiKeyLocation": key} if key is not None else {}),
        **({"envSecretLocations": env} if env else {}),
        "orgScopeId": rendering.scope,
        "onPremProxyUrl": rendering.on_prem_proxy,
    }


def _place(value: Json) -> str | None:
    """The location in a text with exactly one variable; None for any other value."""
    names: Iterable[str] = variables(value) if isinstance(value, str) else ()
    match tuple(names):
        case (name,) if SECRETS in name:
            return read_location(name.split(SECRETS)[1])
    return None
