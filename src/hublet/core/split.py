"""Taking a reply apart: what the Hub said to one Operation becomes facts, one for each Question that it answers.

Only the worker imports this module, so that no other process looks into what came off the network.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import orjson

from hublet.core import endpoints, referring, secretrefs, yamltree
from hublet.core import operations as ops
from hublet.core import questions as q
from hublet.core.messages import is_segment
from hublet.core.places import Path, Pieces
from hublet.core.records import Content, Fact, Template, View, cut, render
from hublet.core.values import dataclass

MOST_ASSISTANTS = 20_000
"""In one list. A team of ten thousand is what hublet is made for; without a limit one answer of a broken or hostile Hub
could fill the cache and the daemon's memory with millions."""
MOST_ORGANIZATIONS = 1_000
"""Of one account. A pass asks for the list of each."""


class WrongShape(ValueError):
    """The reply is JSON, but not of the shape that the Hub's document declares. The sentence says where."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """What one reply brought: its facts, the names of the secrets to which they refer, and where their icons are.

    `icons` are pairs of an icon's URL without its query, and the whole pre-signed URL, which is used once and never
    kept. `organizations` are the ids in a list of organizations.
    """

    facts: tuple[Fact, ...]
    secrets: tuple[q.Fqsn, ...] = ()
    icons: tuple[tuple[str, str], ...] = ()
    organizations: tuple[str, ...] = ()
    block: str = ""
    """The text of a registry package."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the assistants of a reply are read: the texts of the blocks that they use, and whether nobody has filled
    their secrets in."""

    blocks: referring.Blocks
    unfilled: bool


def split(
    operation: ops.Operation,
    reply: object,
    *,
    mark: str,
    blocks: referring.Blocks | None = None,
    unfilled: bool = False,
) -> Harvest:
    """What the JSON value of a 200 brings (for a package's download, its bytes). `mark` is a fresh random word that
    stands for the holes while a text is serialised. `blocks` are the texts of the packages that assistants use. In an
    `unfilled` reply the secrets of assistants are still references.

    An Operation whose answer is not kept gives no facts. Raises WrongShape.
    """
    try:
        return _split(operation, reply, mark, _Reading(blocks or {}, unfilled))
    except (orjson.JSONEncodeError, RecursionError):
        raise WrongShape("the answer is nested too deeply") from None


def _split(operation: ops.Operation, reply: object, mark: str, reading: _Reading) -> Harvest:
    match operation:
        case ops.ListAssistants(scope, proxied):
            return _assistants(scope, proxied, reply, mark, reading)
        case ops.GetAssistant(scope, proxied, slug):
            return _assistant(scope, proxied, slug, reply, mark, reading)
        case ops.ListOrganizations():
            return _organizations(reply, mark)
        case ops.GetPolicy():
            return _policy(reply)
        case ops.GetFreeTrialStatus():
            return _free_trial(reply)
        case ops.SyncSecrets():
            return _secrets(operation, reply, mark)
        case ops.GetCredits():
            return _object(q.Credits(), reply, "creditBalance")
        case ops.GetAuthScope():
            return _object(q.AuthScope(), reply)
        case ops.GetBlock(slug, version):
            return _block(q.Block(slug, version), reply)
        case ops.DownloadPackage(slug, version):
            return _download(q.Download(slug, version), reply)
        case ops.ListFullSlugs() | ops.GetCheckoutUrl():
            return Harvest(())


def used(reply: object) -> tuple[str, ...]:
    """The registry packages that the assistants of a reply use, read from their `rawYaml`, each once; none for a list
    that `split` refuses for its length."""
    found: dict[str, None] = {}
    if isinstance(reply, list) and len(reply) > MOST_ASSISTANTS:
        return ()
    for item in reply if isinstance(reply, list) else [reply]:
        raw_yaml = item.get("rawYaml") if isinstance(item, dict) else None
        if isinstance(raw_yaml, str):
            found |= dict.fromkeys(referring.uses(yamltree.read(raw_yaml)))
    return tuple(found)


def _object(question: q.Question, reply: object, *needs: str) -> Harvest:
    if not isinstance(reply, dict) or any(key not in reply for key in needs) or ("message" in reply and not needs):
        raise WrongShape(f"{question.kind} is not an object of the declared shape")
    return Harvest((Fact(question, Content(Template(orjson.dumps(reply)))),))


def _block(question: q.Block, reply: object) -> Harvest:
    match reply:
        case {"content": str(text)}:
            return Harvest((Fact(question, Content(Template(orjson.dumps(reply)))),), block=text)
    raise WrongShape("a registry package has no content")


def _download(question: q.Download, reply: object) -> Harvest:
    import zipfile  # for the few passes with a download in them

    # The directory of a zip file is at its end: a file that was cut off has none.
    if not isinstance(reply, bytes) or not reply.startswith(b"PK") or not zipfile.is_zipfile(io.BytesIO(reply)):
        raise WrongShape("a package's download is not a zip file, or not the whole of one")
    return Harvest((Fact(question, Content(Template(reply), {}, {"type": "application/zip"})),))


def _assistants(scope: q.Scope, proxied: bool, reply: object, mark: str, reading: _Reading) -> Harvest:
    if not isinstance(reply, list):
        raise WrongShape("the list of assistants is not an array")
    if len(reply) > MOST_ASSISTANTS:
        raise WrongShape(f"the list has more than {MOST_ASSISTANTS} assistants")
    facts: list[Fact] = []
    secrets: dict[q.Fqsn, None] = {}
    icons: dict[str, str] = {}
    members: list[q.Slug] = []
    for index, item in enumerate(reply):
        slug, content, refers, icon = _one(item, f"element {index}", mark, reading)
        members.append(slug)
        facts.append(Fact(q.Assistant(scope, proxied, slug), content))
        secrets |= dict.fromkeys(refers)
        icons |= _addresses(icon)
    if len(set(members)) != len(members):
        raise WrongShape("two assistants of the list have the same slug")
    roster = orjson.dumps([[slug.owner, slug.package] for slug in members])
    facts.append(Fact(q.Roster(scope, proxied), Content(Template(roster))))
    return Harvest(tuple(facts), tuple(secrets), tuple(icons.items()))


def _assistant(scope: q.Scope, proxied: bool, slug: q.Slug, reply: object, mark: str, reading: _Reading) -> Harvest:
    said, content, refers, icon = _one(reply, "the assistant", mark, reading)
    if said != slug:
        raise WrongShape("the assistant is another one than was asked for")
    return Harvest((Fact(q.Assistant(scope, proxied, slug), content),), refers, tuple(_addresses(icon).items()))


def _one(
    item: object, where: str, mark: str, reading: _Reading
) -> tuple[q.Slug, Content, tuple[q.Fqsn, ...], list[str]]:
    if not isinstance(item, dict):
        raise WrongShape(f"{where} is not an object")
    match item:
        case {"configResult": dict(result), "ownerSlug": str(owner), "packageSlug": str(package)} if owner and package:
            pass
        case _:
            raise WrongShape(f"{where} has no configResult, ownerSlug or packageSlug")
    if not is_segment(owner) or not is_segment(package):
        raise WrongShape(f"the slug of {where} can't be part of a path")
    config, interrupted = result.get("config"), result.get("configLoadInterrupted")
    if "config" not in result or not isinstance(config, dict | None) or not isinstance(interrupted, bool):
        raise WrongShape(f"the configResult of {where} is not of the declared shape")
    errors = result.get("errors")
    if not isinstance(errors, list | None) or not all(isinstance(error, str | dict) for error in errors or ()):
        raise WrongShape(f"the errors of {where} are not an array of strings or objects")
    for name in ("iconUrl", "onPremProxyUrl", "rawYaml"):
        if not isinstance(item.get(name), str | None):
            raise WrongShape(f"{name} of {where} is not a string")
    if not isinstance(item.get("useOnPremProxy"), bool | None):
        raise WrongShape(f"useOnPremProxy of {where} is not a boolean")
    slug = q.Slug(owner, package)
    raw_yaml = item.get("rawYaml") or ""
    tree = yamltree.read(raw_yaml)
    found = secretrefs.find(config, raw_yaml, tree, reading.blocks, unfilled=reading.unfilled)
    # The paths that were found begin with `config` or are that of rawYaml; in the item the config is in configResult.
    holes = {(("configResult", *path) if path[0] == "config" else path): pieces for path, pieces in found.holes.items()}
    template, icons = _template(item, holes, mark)
    traits = _traits(config, interrupted, errors or [])
    if config is not None:
        places = {**config, "onPremProxyUrl": item.get("onPremProxyUrl")}
        traits[endpoints.TRAIT] = endpoints.to_trait(endpoints.endpoints_of(places, found.holes))
    content = Content(template, found.bindings, traits)
    _prove(content, item, icons, where)
    return slug, content, referring.referred(slug, tree, reading.blocks), icons


def _traits(config: dict[str, object] | None, interrupted: bool, errors: Sequence[object]) -> dict[str, str]:
    traits: dict[str, str] = {}
    for trait, key in (("title", "name"), ("version", "version")):
        value = (config or {}).get(key)
        if isinstance(value, str):
            traits[trait] = value
    fatal = [error for error in errors if isinstance(error, dict) and error.get("fatal") is True]
    if fatal:
        # A message may quote the author's YAML, so the trait only says that there is one.
        traits["trouble"] = "a fatal error"
    elif config is None:
        traits["trouble"] = "no config"
    elif interrupted:
        traits["trouble"] = "loading was interrupted"
    return traits


def _organizations(reply: object, mark: str) -> Harvest:
    match reply:
        case {"organizations": list(organizations)}:
            pass
        case _:
            raise WrongShape("there is no array of organizations")
    if len(organizations) > MOST_ORGANIZATIONS:
        raise WrongShape(f"there are more than {MOST_ORGANIZATIONS} organizations")
    ids: list[str] = []
    slugs: set[str] = set()
    for organization in organizations:
        match organization:
            case {"id": str(id_), "name": str(), "slug": str(slug)} if id_:
                ids.append(id_)
                slugs.add(slug)
            case _:
                raise WrongShape("an organization has no id, name or slug")
        if not isinstance(organization.get("iconUrl"), str | None):
            raise WrongShape("an organization's iconUrl is not a string")
    if len(set(ids)) != len(ids) or len(slugs) != len(ids):
        raise WrongShape("two organizations have the same id or slug")
    template, icons = _template(reply, {}, mark)
    content = Content(template)
    _prove(content, reply, icons, "the organizations")
    return Harvest((Fact(q.Organizations(), content),), (), tuple(_addresses(icons).items()), tuple(ids))


def _policy(reply: object) -> Harvest:
    if not isinstance(reply, dict) or ("message" in reply and "policy" not in reply):
        raise WrongShape("the policy is not an object of the declared shape")
    if not isinstance(reply.get("policy"), dict | None) or not isinstance(reply.get("orgSlug"), str | None):
        raise WrongShape("the policy or its orgSlug is of the wrong type")
    return Harvest((Fact(q.Policy(), Content(Template(orjson.dumps(reply)))),))


def _free_trial(reply: object) -> Harvest:
    def number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    match reply:
        case {"optedInToFreeTrial": bool(), "chatLimit": chat, "autocompleteLimit": complete}:
            if number(chat) and number(complete):
                return Harvest((Fact(q.FreeTrial(), Content(Template(orjson.dumps(reply)))),))
    raise WrongShape("the free trial status is not of the declared shape")


def _secrets(operation: ops.SyncSecrets, reply: object, mark: str) -> Harvest:
    if not isinstance(reply, list) or len(reply) != len(operation.asked):
        raise WrongShape("the answer has not as many secrets as were asked for")
    facts: list[Fact] = []
    for fqsn, result in zip(operation.fqsns, reply, strict=True):
        if fqsn is None:
            continue
        match result:
            case None:
                content = Content(Template(b"null"))
            case {"found": bool(), "secretLocation": {"secretType": str()}}:
                # The name is not kept: each client gets its own words back, and other names can have the same answer.
                kept = {key: value for key, value in result.items() if key != "fqsn"}
                found = secretrefs.Found({}, {})
                value = kept.get("value")
                if isinstance(value, str) and value:
                    found.holes[("value",)] = ("", found.bind(("value",), fqsn.name, value), "")
                elif not isinstance(value, str | None):
                    raise WrongShape("a secret's value is not a string")
                template, icons = _template(kept, found.holes, mark)
                content = Content(template, found.bindings)
                _prove(content, kept, icons, "a secret")
            case _:
                raise WrongShape("a secret's result is not of the declared shape")
        facts.append(Fact(q.Secret(operation.scope, fqsn), content))
    return Harvest(tuple(facts))


def _template(value: object, holes: dict[Path, Pieces], mark: str) -> tuple[Template, list[str]]:
    """Serialise a value with marks in place of secrets and icons' URLs, then cut the text at the marks.

    The list has the whole URLs of the icons, in the order of their holes. URLs that differ only in their queries are
    those of one icon.
    """
    names: list[tuple[Literal["secret", "icon"], str]] = []
    icons: list[str] = []

    def hole(kind: Literal["secret", "icon"], name: str) -> str:
        names.append((kind, name))
        return f"{mark}{len(names) - 1};"

    def marked(node: object, path: Path) -> object:
        pieces = holes.get(path)
        if pieces is not None:
            return "".join(piece if at % 2 == 0 else hole("secret", piece) for at, piece in enumerate(pieces))
        match node:
            case dict():
                return {key: marked(child, (*path, key)) for key, child in node.items()}
            case list():
                return [marked(child, (*path, index)) for index, child in enumerate(node)]
            case str() if path[-1:] == ("iconUrl",) and "config" not in path and _is_address(node):
                icons.append(node)
                return hole("icon", _without_query(node))
        return node

    return cut(orjson.dumps(marked(value, ())), mark, names.__getitem__), icons


def _addresses(icons: list[str]) -> dict[str, str]:
    return {_without_query(url): url for url in icons}


def _is_address(text: str) -> bool:
    return text[:6].lower().startswith(("https:", "http:"))


def _without_query(url: str) -> str:
    # Not with urlsplit, which refuses some texts and rewrites others.
    return url.partition("#")[0].partition("?")[0]


def _prove(content: Content, value: object, icons: list[str], where: str) -> None:
    """Raise WrongShape unless rendering the content gives back exactly what the Hub said."""
    rest = iter(icons)
    if orjson.loads(render(content.template, content.bindings, View(True, lambda _: next(rest)))) != value:
        raise WrongShape(f"{where} can't be taken apart without loss")
