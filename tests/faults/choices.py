"""What the state machine chooses from: the questions that clients ask of the small world, and what can happen to it."""

from __future__ import annotations

from tests.faults.small_world import ACME, BLOCK, INITECH

from hublet.core import operations as ops
from hublet.core.questions import Fqsn, Slug

SCOPES = (None, ACME, INITECH)
OTHERS = "org_other"
SLUGS = tuple(
    Slug(*text.split("/")) for text in ("ada/a0", "ada/a1", "acme/b0", "initech/c0", "ada/unlisted", "no/one")
)
FQSNS = (
    Fqsn((Slug("ada", "a0"),), "KEY_A"),
    Fqsn((Slug("ada", "a1"),), "KEY_B"),
    Fqsn((Slug("ada", "a0"), Slug("ada", "model")), "KEY_C"),
    Fqsn((Slug("", ""),), "KEY_A"),
    Fqsn((Slug("acme", "b1"),), "KEY_B"),
    Fqsn((Slug("", ""),), "NOBODY_HAS_IT"),
)
OPERATIONS: tuple[ops.Operation, ...] = (
    *(ops.ListAssistants(scope, proxied) for scope in SCOPES for proxied in (False, True)),
    ops.ListAssistants(OTHERS),
    *(ops.GetAssistant(scope, False, slug) for scope in SCOPES for slug in SLUGS),
    ops.GetAssistant(None, True, SLUGS[0]),
    ops.ListOrganizations(),
    ops.GetPolicy(),
    ops.GetFreeTrialStatus(),
    ops.GetCredits(),
    ops.GetAuthScope(),
    ops.GetBlock(Slug(*BLOCK.split("/")), "1.0.0"),
    ops.GetBlock(Slug(*BLOCK.split("/")), "latest"),
    ops.GetBlock(Slug("no", "block"), "latest"),
    ops.DownloadPackage(Slug(*BLOCK.split("/")), "1.0.0"),
    *(ops.ListFullSlugs(scope) for scope in SCOPES),
    *(ops.SyncSecrets.of(scope, FQSNS) for scope in SCOPES),
    *(ops.SyncSecrets.of(scope, FQSNS[:1]) for scope in SCOPES),
)
POLICIES: tuple[dict[str, object] | None, ...] = (
    None,
    {"allowMcpServers": True, "allowCodebaseIndexing": True},
    {"allowMcpServers": False, "allowCodebaseIndexing": True},
    {"allowMcpServers": True, "allowCodebaseIndexing": False, "new": "word"},
    {"allowMcpServers": False, "allowCodebaseIndexing": False},
)
PLACES = ("", "/ide/list-assistants", "/ide/get-assistant", "/ide/sync", "/ide/policy", "/ide/list-org", "/registry")
TIMES = (1, 5, 30, 61, 301, 601, 901, 901, 3601, 86400, 8 * 86400)
