"""What is left of an assistant without a Hub: a config that a client without Hub code can run, and what that lacks.

The Hub fills the secrets into an assistant before it sends it, but only those of the user. The values of other secrets
(an organization's, a package's) it keeps: a model with such a key is sent with the provider `continue-proxy`, which
only the Hub can answer. Here such a model is turned back into what its author wrote: its provider and model are in the
text `owner/package/provider/model`, and where its key is, in `apiKeyLocation`. Each secret becomes `${{ secrets.NAME
}}`, with a NAME that can stand in a `.env` file. Either its value is known, or it is said who has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Literal

import orjson

from hublet.core.questions import Slug
from hublet.core.records import UNNAMED, Content, View, reference, render
from hublet.core.secretstr import SecretStr
from hublet.core.values import dataclass
from hublet.core.variables import each_string, fill, secrets_of, strings

Standing = Literal["works", "with a key", "needs a key", "can't work"]
"""How something stands without a Hub: it works by itself, with a key that is at hand, with a key that the user has to
get, or not at all."""

ORDER: tuple[Standing, ...] = ("works", "with a key", "needs a key", "can't work")
WITHHELD = "yours, but its value is not served now: see `hublet status`"
_PROXY = "continue-proxy"
_OF_THE_HUB = ("apiKeyLocation", "envSecretLocations", "orgScopeId", "onPremProxyUrl")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Variable:
    """A secret, by the name that it has without a Hub. If its `value` is not known, `whose` says who has it."""

    name: str
    value: SecretStr | None
    whose: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A model, or another item that needs a secret, and how it stands without a Hub; `why` says the reason or the
    keys."""

    section: str
    name: str
    standing: Standing
    why: str = ""


@dataclass(frozen=True, slots=True)
class Leaving:
    """What is left of one assistant. `config` is None when there is nothing to run. `notes` is what concerns no single
    part, such as the Hub's errors."""

    config: dict[str, object] | None
    variables: tuple[Variable, ...] = ()
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def standing(self) -> Standing:
        """The worst standing of its models and MCP servers: without a terminal, `cn` ends when one of them can't
        start."""
        if self.config is None:
            return "can't work"
        needed = [part.standing for part in self.parts if part.section in ("models", "mcpServers")]
        return max(needed, key=ORDER.index, default="works")


@dataclass(slots=True)
class Names:
    """Gives each secret a name of its own, over many assistants. The name is the last part of the secret's full name;
    if another secret has that already, the assistant's slug is put before it.

    The names depend on the order in which they are asked for: ask in the same order to get the same names.
    """

    taken: dict[str, object] = field(default_factory=dict)

    def name(self, full: str, slug: Slug, what: object) -> str:
        """The name for a secret. `what` tells secrets of the same name apart: it is the value, or the place where the
        value is."""
        base = full.removeprefix(UNNAMED) if full.startswith(UNNAMED) else full.rpartition("/")[2]
        short, owned = _as_name(base), _as_name(f"{slug.owner}_{slug.package}_{base}".upper())
        candidates = [owned] if full.startswith(UNNAMED) else [short, owned]
        candidates += [f"{owned}_{number}" for number in range(2, len(self.taken) + 3)]
        chosen = next(name for name in candidates if self.taken.get(name, what) == what)
        self.taken[chosen] = what
        return chosen


def leave(
    content: Content,
    slug: Slug,
    names: Names,
    known: Mapping[str, SecretStr] | None = None,
    withheld: frozenset[str] = frozenset(),
) -> Leaving:
    """What is left of an assistant. `known` are the values of the user's own secrets by name, for keys whose values are
    not in the config (the Hub would fill them in). `withheld` are the names of bindings whose values may not be shown
    now."""
    value = orjson.loads(render(content.template, {}, View(False, lambda url: url)))
    result = value.get("configResult") if isinstance(value, dict) else None
    config = result.get("config") if isinstance(result, dict) else None
    errors = tuple(_messages(result.get("errors") if isinstance(result, dict) else None))
    if not isinstance(config, dict):
        return Leaving(None, notes=errors or ("the Hub could not load it",))
    return _Walk(content, slug, names, known or {}, withheld).left(config, errors)


class _Walk:
    """One call of `leave`; `variables` are the secrets that were met so far."""

    def __init__(
        self, content: Content, slug: Slug, names: Names, known: Mapping[str, SecretStr], withheld: frozenset[str]
    ) -> None:
        self.content, self.slug, self.names, self.known, self.withheld = content, slug, names, known, withheld
        self.variables: dict[str, Variable] = {}

    def left(self, config: Mapping[str, object], errors: tuple[str, ...]) -> Leaving:
        found: dict[str, object] = {}
        parts: list[Part] = []
        for section, value in config.items():
            if isinstance(value, list):
                found[section] = items = []
                for item in value:
                    if item is None:
                        continue  # a block that could not be had; its error is in the notes
                    direct, part = self._item(section, item)
                    items.append(direct)
                    if part is not None:
                        parts.append(part)
            elif value is not None:
                found[section], _ = self._referring(value)
        head = {"name": found.pop("name", str(self.slug)), "version": found.pop("version", "0.0.1"), "schema": "v1"}
        found.pop("schema", None)
        return Leaving({**head, **found}, tuple(self.variables.values()), tuple(parts), errors)

    def _item(self, section: str, item: object) -> tuple[object, Part | None]:
        name = item.get("name") or item.get("provider") or "" if isinstance(item, dict) else ""
        if isinstance(item, dict) and section == "models" and item.get("provider") == _PROXY:
            return self._direct(item, str(name))
        if isinstance(item, dict) and section == "context" and item.get("provider") == _PROXY:
            return item, Part(section, str(name), "can't work", "it asks the Hub")
        direct, used = self._referring(item)
        if not used and section != "models":
            return direct, None
        return direct, Part(section, str(name), *_judged(used))

    def _direct(self, model: Mapping[str, object], name: str) -> tuple[object, Part]:
        """A proxied model as its author wrote it."""
        words = str(model.get("model") or "").split("/", 3)
        kept = {key: value for key, value in model.items() if key not in _OF_THE_HUB}
        if len(words) < 4 or not all(words):
            return kept, Part("models", name, "can't work", "which provider it has is known to the Hub alone")
        direct, used = self._referring({**kept, "provider": words[2], "model": words[3]})
        assert isinstance(direct, dict)
        if isinstance(location := model.get("apiKeyLocation"), str):
            variable = self._variable(location, words[2])
            direct["apiKey"], used = reference(variable.name), (*used, variable)
        places = model.get("envSecretLocations")
        if isinstance(places, dict) and places:
            env = dict(direct.get("env") or {})
            for key, place in places.items():
                variable = self._variable(str(place), words[2])
                env[key], used = reference(variable.name), (*used, variable)
            direct["env"] = env
        return direct, Part("models", name, *_judged(used))

    def _referring(self, value: object) -> tuple[object, tuple[Variable, ...]]:
        """A JSON value in which every reference has its new name, and the secrets to which it refers."""
        full = dict.fromkeys(name for text in strings(value) for name in secrets_of(text))
        used = {name: self._variable(name) for name in full}
        renamed = {f"secrets.{name}": reference(variable.name) for name, variable in used.items()}
        return each_string(value, lambda text: fill(text, renamed)), tuple(used.values())

    def _variable(self, full: str, provider: str = "") -> Variable:
        """The secret by its full name: the name of a binding, a location as the Hub writes it
        (`organization:acme/NAME`), or a name that the Hub could not resolve."""
        if full in self.variables:
            return self.variables[full]
        value = self.content.bindings.get(full)
        kind, separator, _ = full.partition(":")
        if value is None and full not in self.withheld and (not separator or kind == "user"):
            value = self.known.get(full.rpartition("/")[2].rpartition(":")[2])
        last = full.rpartition("/")[2].rpartition(":")[2] if separator else full
        name = self.names.name(last, self.slug, value if value is not None else full)
        whose = WITHHELD if full in self.withheld else _whose(full, provider)
        variable = Variable(name, value, "" if value is not None else whose)
        self.variables[full] = variable
        return variable


def _whose(full: str, provider: str) -> str:
    kind, separator, rest = full.partition(":")
    owner = rest.rpartition("/")[0]
    match kind if separator else "":
        case "organization":
            return f"ask the organization {owner}"
        case "package":
            return f"ask the owner of {owner}"
        case "models_add_on" | "free_trial":
            return f"only the Hub has it: get one of your own from {provider or owner}"
        case "user":
            return "yours, but its value is not in the cache"
    return "the Hub knows no secret of this name"


def _judged(used: Iterable[Variable]) -> tuple[Standing, str]:
    used = tuple(used)
    missing = [variable for variable in used if variable.value is None]
    if missing:
        return "needs a key", "; ".join(f"{variable.name} ({variable.whose})" for variable in dict.fromkeys(missing))
    if used:
        return "with a key", ", ".join(dict.fromkeys(variable.name for variable in used))
    return "works", ""


def _messages(errors: object) -> Iterator[str]:
    for error in errors if isinstance(errors, list) else ():
        message = error.get("message") if isinstance(error, dict) else error
        yield " ".join(str(message).split())


def _as_name(text: str) -> str:
    name = _NOT_A_NAME.sub("_", text).strip("_") or "SECRET"
    return f"_{name}" if name[0].isdigit() else name
