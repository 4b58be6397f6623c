"""Continue's own YAML parser and unrolling in a process of node, and ours in the same shape, to compare them."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hublet.core import configschema, yaml12
from hublet.core.packages import File, Source, source_of
from hublet.core.records import reference
from hublet.core.shapes import told
from hublet.core.unrolling import NoBlock, NotUsable, Options, Rendering, Text, unroll
from hublet.demo.data import World

Json = Any
SCRIPT = Path(__file__).with_suffix(".mjs")


@dataclass
class Case:
    """One config to unroll, with everything that it could ask for. Secrets are results by full name, as the Hub gives
    them, without `fqsn`."""

    text: str
    id: str = "dana/asst"
    registry: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Json] = field(default_factory=dict)
    render: bool = True
    proxied: bool = False
    scope: str | None = None
    proxy: str | None = None
    allowed: tuple[str, ...] | None = None
    blocked: tuple[str, ...] = ()
    injected: tuple[str, ...] = ()
    request_options: Json = None


class Theirs:
    """The process. One question at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def _ask(self, question: Json) -> Json:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def read(self, text: str) -> Json:
        """`{"ok": value}` or `{"error": message}`."""
        return self._ask({"do": "yaml", "text": text})

    def fields(self) -> Json:
        """Each place in a config that their schema knows: its path, and the words that may stand there."""
        return self._ask({"do": "fields"})

    def check(self, values: list[Json]) -> list[Json]:
        """Values held to their schema of a config: `{"ok": value}` or `{"error": problems}` each."""
        return list(self._ask({"do": "schema", "values": values}))

    def dotenv(self, text: str) -> dict[str, str]:
        """The variables of a `.env` file as npm's dotenv reads it."""
        return dict(self._ask({"do": "dotenv", "text": text})["ok"])

    def unroll(self, case: Case) -> Json:
        options: dict[str, Json] = {"renderSecrets": case.render}
        if case.render:
            options |= {"orgScopeId": case.scope, "onPremProxyUrl": case.proxy, "alwaysUseProxy": case.proxied}
            options["currentUserSlug"] = "dana"
        if case.allowed is not None:
            options["allowlistedBlocks"] = case.allowed
        options["blocklistedBlocks"] = case.blocked
        options["injectBlocks"] = case.injected
        if case.request_options is not None:
            options["injectRequestOptions"] = case.request_options
        question = {"do": "unroll", "id": case.id, "text": case.text, "options": options}
        return self._ask(question | {"registry": dict(case.registry), "secrets": dict(case.secrets)})


@contextmanager
def continues_own(node_modules: Path, place: Path) -> Iterator[Theirs]:
    """Theirs, for as long as a with block; the script is run from a folder beside its packages."""
    script = place / SCRIPT.name
    shutil.copy(SCRIPT, script)
    (place / "node_modules").symlink_to(node_modules)
    with subprocess.Popen(
        ["node", "--preserve-symlinks-main", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Theirs(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)


def registry(world: World) -> dict[str, str]:
    """A demo world's blocks as `Case.registry` has them."""
    fixed = {f"{slug}@{version}": text for slug, versions in world.blocks.items() for version, text in versions.items()}
    return fixed | {f"{slug}@latest": list(versions.values())[-1] for slug, versions in world.blocks.items()}


def ours_read(text: str) -> Json:
    try:
        return {"ok": plain(yaml12.read(text))}
    except yaml12.YamlError as error:
        return {"error": str(error)}


def ours_checked(value: Json) -> Json:
    checked = configschema.CONFIG(value)
    return {"ok": plain(checked.value)} if checked.fits else {"error": told(checked.problems)}


def ours(case: Case) -> Json:
    """What `Theirs.unroll` gives, by our own unrolling."""
    asked: list[str] = []

    def registry(source: Source) -> Text | None:
        name = source.path if isinstance(source, File) else f"{source}@{source.version}"
        if name not in case.registry:
            raise NoBlock(f"nothing of the name {name}")
        return Text(case.registry[name])

    def secrets(names: tuple[str, ...]) -> Mapping[str, str]:
        asked.extend(names)
        return {name: _shown(case.secrets[name], case.proxied) for name in names if name in case.secrets}

    rendering = Rendering(secrets, case.scope, case.proxy) if case.render else None
    options = Options(
        frozenset(case.allowed) if case.allowed is not None else None,
        frozenset(case.blocked),
        tuple(map(source_of, case.injected)),
        case.request_options,
    )
    try:
        unrolled = unroll(source_of(case.id), Text(case.text), registry, rendering, options)
    except NotUsable as error:
        return {"error": str(error)}
    return {"config": plain(unrolled.config), "errors": unrolled.errors if case.render else [], "asked": asked}


def _shown(result: Json, proxied: bool) -> str:
    if "value" in result and not proxied:
        return str(result["value"])
    place = result["secretLocation"]
    slug = place.get("packageSlug") or place.get("blockSlug")
    owner = f"{slug['ownerSlug']}/{slug['packageSlug']}" if slug else place.get("orgSlug") or place.get("userSlug")
    where = f"{owner}/{place['secretName']}" if owner else place["secretName"]
    return reference(f"{place['secretType']}:{where}")


def plain(value: Json) -> Json:
    """A value as the script writes it down: JSON has no infinite numbers."""
    match value:
        case float() if math.isnan(value):
            return {"#": "NaN"}
        case float() if math.isinf(value):
            return {"#": "Infinity" if value > 0 else "-Infinity"}
        case list():
            return [plain(each) for each in value]
        case dict():
            return {key: plain(each) for key, each in value.items()}
    return value


def same(one: Json, other: Json) -> bool:
    """Equality of JavaScript's values: true is not 1, every number is a float."""
    match one, other:
        case (bool(), _) | (_, bool()):
            return one is other
        case (int() | float(), int() | float()):
            return float(one) == float(other)
        case (list(), list()):
            return len(one) == len(other) and all(map(same, one, other))
        case (dict(), dict()):
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other
