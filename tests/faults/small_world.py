"""A Hub that is small enough for thousands of passes, what its people may change, and every fault that it can have."""

from __future__ import annotations

import inspect

from hublet.core import operations as ops
from hublet.demo import faults
from hublet.demo.data import Organization, World
from hublet.demo.reply import Fault

ACME, INITECH = "org_acme", "org_initech"
BLOCK = "ada/model"
SIZE_LIMIT = 64 * 1024
NAMES = ("KEY_A", "KEY_B", "KEY_C")
CANARY = "canary-"
"""Every secret value begins so and no other text has it: what holds it holds a value."""

_SOURCE = """\
name: {title}
version: 1.0.{version}
schema: v1
models:
  - name: M
    provider: openai
    model: gpt
    apiKey: ${{{{ secrets.{name} }}}}
"""
_USING = _SOURCE + "  - uses: ada/model@1.0.0\n"
_BLOCK = """\
name: Model
version: 1.0.0
schema: v1
models:
  - name: From a block
    provider: openai
    model: gpt
    apiKey: ${{ secrets.KEY_C }}
"""
BROKEN = "name: [this is no name\n"
"""What an author saves by mistake: the Hub sends it without a config and with a fatal error."""


def source(title: str, version: int = 0, name: str = "KEY_A", *, uses: bool = False) -> str:
    """An assistant's YAML: one model whose key is the secret of that name, and one of a block if it `uses` it."""
    return (_USING if uses else _SOURCE).format(title=title, version=version, name=name)


def small_world() -> World:
    """Six assistants of one's own, five and three of two organizations, three secrets, one block."""
    mine = {f"ada/a{n}": source(f"A{n}", name=NAMES[n % 2], uses=n == 0) for n in range(6)}
    acme = {f"acme/b{n}": source(f"B{n}", name=NAMES[n % 2]) for n in range(5)}
    initech = {f"initech/c{n}": source(f"C{n}") for n in range(3)}
    return World(
        user="ada",
        organizations={
            ACME: organization(ACME, *acme),
            INITECH: organization(INITECH, *initech),
        },
        roster=list(mine),
        sources=mine | acme | initech | {"ada/unlisted": source("Unlisted")},
        icons={},
        blocks={BLOCK: {"1.0.0": _BLOCK}},
        secrets={name: f"{CANARY}{name}-0" for name in NAMES},
        package_secrets={},
        models_add_on={},
        free_trial={},
        policy={"allowMcpServers": True, "allowCodebaseIndexing": True},
        policy_slug="acme",
        trial={"optedInToFreeTrial": True, "chatCount": 1, "chatLimit": 50, "autocompleteLimit": 2000},
        credits={"optedInToFreeTrial": True, "hasCredits": True, "creditBalance": 1, "hasPurchasedCredits": False},
    )


def organization(id_: str, *roster: str) -> Organization:
    slug = id_.removeprefix("org_")
    secrets = {"KEY_B": f"{CANARY}of-{slug}"} if id_ == ACME else {}
    return Organization(id_, slug.title(), slug, roster=list(roster), secrets=secrets)


FAULTS: tuple[Fault, ...] = (
    faults.Status(500),
    faults.Status(401, "Unauthorized"),
    faults.Status(403, "Forbidden"),
    faults.Status(404, "Assistant not found"),
    faults.Status(404, "User not found"),
    faults.Status(404, None),
    faults.Status(429, "Too many requests"),
    faults.Status(429, "Too many requests", retry_after=120),
    faults.Status(503, "Busy", retry_after=5000),
    faults.Html(),
    faults.ErrorPage(),
    faults.RedirectTo("https://login.example/"),
    faults.RedirectWithin(),
    faults.Empty(),
    faults.NullBody(),
    faults.EmptyList(),
    faults.Twice(),
    faults.WrongShape(),
    faults.WrongShape((0, "configResult")),
    faults.WrongShape((0, "ownerSlug")),
    faults.WrongShape(("organizations",)),
    faults.WrongShape(("policy", "allowMcpServers")),
    faults.NotUtf8(),
    faults.LoneSurrogate(),
    faults.NaN(),
    faults.NaN(b"Infinity"),
    faults.DuplicateKeys(),
    faults.DeepNesting(3000),
    faults.HugeBody(2 * SIZE_LIMIT),
    faults.HugeBody(2 * SIZE_LIMIT, declared=False),
    faults.GzipBomb(2 * SIZE_LIMIT),
    faults.GzipBomb(2 * SIZE_LIMIT, layers=2),
    faults.Hang(),
    faults.SlowDrip(),
    faults.Truncated(),
    faults.WrongLength(),
    faults.Reset(),
    faults.Disconnect(),
)


def kinds_of_faults() -> set[type[Fault]]:
    """Every kind that the demo Hub has."""
    return {
        kind
        for kind in vars(faults).values()
        if inspect.isclass(kind) and issubclass(kind, Fault) and not inspect.isabstract(kind)
        and kind is not faults.WireFault
    }  # fmt: skip


def could_be_meant(fault: Fault | None, operation: ops.Operation, value: object) -> bool:
    """Whether a 200 with this JSON is one that nobody could tell from the Hub's own word, after this fault of its."""
    match fault, operation:
        case ((None | faults.RedirectWithin()), _):
            return True
        case faults.Rewrite(), ops.DownloadPackage():
            return True  # those change JSON only
        case faults.EmptyList(), ops.ListAssistants() | ops.ListOrganizations():
            return True
        case faults.DuplicateKeys(), ops.GetPolicy() | ops.GetAuthScope() | ops.GetCredits():
            return True
        case faults.Twice(), _:
            lists = [value] if isinstance(value, list) else value.values() if isinstance(value, dict) else []
            return not any(isinstance(each, list) and each for each in lists)
        case faults.WrongShape(("policy", _)), ops.GetPolicy():
            return True  # a policy's values are its own; one of another type counts as a restriction
        case faults.WrongShape(path), _:
            return not _leads_somewhere(path, value)
    return False


def _leads_somewhere(path: tuple[str | int, ...], value: object) -> bool:
    match value, path:
        case dict(), (first, *rest):
            return first in value and _leads_somewhere(tuple(rest), value[first])
        case list(), (int(first), *rest):
            return len(value) > first and _leads_somewhere(tuple(rest), value[first])
        case list(), (_, *_):
            return False
    return True
