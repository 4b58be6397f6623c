"""Schemas of the Hub's answers, as hublet serves them.

A schema requires exactly what hublet checks before it keeps an answer (core/split.py). Further members that the Hub
sends, now or later, are served unchanged, so these schemas allow them.
"""

from __future__ import annotations

from hublet.describe.schema import (
    Body,
    anything,
    array,
    closed_object,
    flag,
    nullable,
    number,
    open_object,
    ref,
    text,
)

_ASSISTANT = {
    "configResult": {
        "config": {
            "name": "House Chat",
            "version": "1.4.0",
            "models": [{"name": "Claude", "provider": "anthropic", "model": "claude-sonnet-4", "apiKey": "sk-..."}],
            "rules": ["Answer in short sentences."],
        },
        "configLoadInterrupted": False,
        "errors": [{"fatal": False, "message": 'Failed to load block\n> "acme/gone"', "uri": "slug://acme/chat"}],
    },
    "ownerSlug": "acme",
    "packageSlug": "chat",
    "iconUrl": "http://localhost:3001/icons/5f0c6d1e0a4b4e0c9a7b3d2c1f0e9d8c",
    "onPremProxyUrl": None,
    "useOnPremProxy": False,
    "rawYaml": "name: House Chat\nversion: 1.4.0\nschema: v1\n",
}
_FQSN = {"packageSlugs": [{"ownerSlug": "acme", "packageSlug": "chat"}], "secretName": "ANTHROPIC_API_KEY"}
_FOUND = {
    "found": True,
    "fqsn": _FQSN,
    "value": "sk-...",
    "secretLocation": {"secretType": "user", "userSlug": "dana", "secretName": "ANTHROPIC_API_KEY"},
}

HUB_BODIES: tuple[Body, ...] = (
    Body(
        "LoadError",
        "Why an assistant did not load, or not all of it",
        open_object(
            {
                "fatal": flag("true: nothing of the assistant is loaded"),
                "message": text(),
                "uri": text("where it happened"),
            },
            "fatal",
            "message",
        ),
        {"fatal": True, "message": "the config can't be read", "uri": "slug://acme/chat"},
    ),
    Body(
        "Assistant",
        "One assistant, unrolled by the Hub",
        open_object(
            {
                "configResult": open_object(
                    {
                        "config": nullable({"type": "object", "description": "The unrolled config; null without one."}),
                        "configLoadInterrupted": flag(),
                        "errors": nullable(
                            {
                                "type": "array",
                                "items": {"anyOf": [ref("LoadError"), {"type": "object"}, {"type": "string"}]},
                                "description": "The Hub sends objects, although its own document says strings.",
                            }
                        ),
                    },
                    "config",
                    "configLoadInterrupted",
                ),
                "ownerSlug": {"type": "string", "minLength": 1},
                "packageSlug": {"type": "string", "minLength": 1},
                "iconUrl": nullable(text("An address of hublet's own, `/icons/{name}`, which holds no credential.")),
                "onPremProxyUrl": nullable(text()),
                "useOnPremProxy": nullable(flag()),
                "rawYaml": nullable(text("The YAML as its author wrote it.")),
            },
            "configResult",
            "ownerSlug",
            "packageSlug",
        ),
        _ASSISTANT,
    ),
    Body("Assistants", "The assistants of a scope, in the Hub's order", array(ref("Assistant")), [_ASSISTANT]),
    Body(
        "Organizations",
        "The account's organizations",
        open_object(
            {
                "organizations": array(
                    open_object(
                        {
                            "id": {"type": "string", "minLength": 1},
                            "name": text(),
                            "slug": text(),
                            "iconUrl": nullable(text()),
                        },
                        "id",
                        "name",
                        "slug",
                    )
                )
            },
            "organizations",
        ),
        {"organizations": [{"id": "org_acme", "name": "ACME", "slug": "acme", "iconUrl": None}]},
    ),
    Body(
        "Policy",
        "What the organization allows; an object without `policy` allows everything",
        open_object(
            {
                "policy": nullable({"type": "object", "description": "What is not plainly true is forbidden."}),
                "orgSlug": nullable(text("Whose policy it is.")),
            }
        ),
        {"policy": {"allowAnonymousTelemetry": False, "allowMcpServers": True}, "orgSlug": "acme"},
    ),
    Body(
        "FreeTrialStatus",
        "How much of the free trial is used",
        open_object(
            {
                "optedInToFreeTrial": flag(),
                "chatCount": anything("A number or null."),
                "autocompleteCount": anything("A number or null."),
                "chatLimit": number(),
                "autocompleteLimit": number(),
            },
            "optedInToFreeTrial",
            "chatLimit",
            "autocompleteLimit",
        ),
        {
            "optedInToFreeTrial": True,
            "chatCount": 12,
            "autocompleteCount": None,
            "chatLimit": 50,
            "autocompleteLimit": 2000,
        },
    ),
    Body(
        "Credits",
        "The account's credits",
        open_object(
            {
                "creditBalance": anything("A number."),
                "optedInToFreeTrial": anything("true or false."),
                "hasCredits": anything("true or false."),
                "hasPurchasedCredits": anything("true or false."),
            },
            "creditBalance",
        ),
        {"optedInToFreeTrial": False, "hasCredits": True, "creditBalance": 1250, "hasPurchasedCredits": True},
    ),
    Body(
        "AuthScope",
        "The organization that the account's key belongs to",
        open_object({"organizationId": anything("An id, or null for a person's key.")})
        | {"not": {"required": ["message"]}},
        {"organizationId": None},
    ),
    Body(
        "Block",
        "A package of the registry",
        open_object({"content": text("YAML, or a rule in markdown.")}, "content"),
        {"content": "name: House Model\nversion: 1.0.0\nschema: v1\nmodels: []\n"},
    ),
    Body(
        "FullSlugs",
        "The slugs and versions of a scope's assistants; the Hub itself refuses to tell them (429)",
        closed_object(
            {
                "fullSlugs": array(
                    closed_object({"ownerSlug": text(), "packageSlug": text(), "versionSlug": text()}),
                )
            }
        ),
        {"fullSlugs": [{"ownerSlug": "acme", "packageSlug": "chat", "versionSlug": "1.4.0"}]},
    ),
    Body(
        "CheckoutUrl",
        "A checkout session, made anew by each request",
        open_object({"url": text()}, "url"),
        {"url": "https://checkout.stripe.com/c/pay/cs_000001"},
    ),
    Body(
        "Fqsn",
        "A fully qualified secret name: the assistant, the block that it uses, the name",
        open_object(
            {
                "packageSlugs": array(open_object({"ownerSlug": text(), "packageSlug": text()})),
                "secretName": text(),
            }
        ),
        _FQSN,
    ),
    Body(
        "SecretNames",
        "Which secrets are asked for",
        open_object(
            {
                "fqsns": {
                    "type": "array",
                    "items": {"anyOf": [ref("Fqsn"), {"type": "object"}]},
                    "description": "What is no fully qualified secret name is answered with `not_found`.",
                },
                "orgScopeId": nullable(text("The organization's id; it goes before the slug.")),
                "orgScopeSlug": nullable(text()),
            },
            "fqsns",
        ),
        {"fqsns": [_FQSN], "orgScopeId": None},
    ),
    Body(
        "SecretResult",
        "What became of one secret; `value` only of the user's own",
        open_object(
            {
                "found": flag(),
                "fqsn": {"type": "object", "description": "The name as it was asked."},
                "value": nullable(text()),
                "secretLocation": open_object(
                    {
                        "secretType": text(
                            "user, organization, package, models_add_on or free_trial; not_found when there is none, "
                            "and while values are not served (locked, expired, a token of scope read)"
                        )
                    },
                    "secretType",
                ),
            },
            "found",
            "fqsn",
            "secretLocation",
        ),
        _FOUND,
    ),
    Body(
        "SecretResults",
        "One result for each name that was asked for, in the order of the question",
        array(nullable(ref("SecretResult"))),
        [
            _FOUND,
            {
                "found": False,
                "fqsn": {"packageSlugs": [], "secretName": "NOBODY_HAS_IT"},
                "secretLocation": {"secretType": "not_found", "secretName": "NOBODY_HAS_IT"},
            },
            None,
        ],
    ),
    Body(
        "TokenPair",
        "A sign-in's new tokens; passed on and never kept",
        open_object({"accessToken": text(), "refreshToken": text()}, "accessToken", "refreshToken"),
        {"accessToken": "...", "refreshToken": "...", "user": {"id": "user_dana", "email": "dana@example.com"}},
    ),
    Body(
        "HubMessage",
        "The Hub's own reason for an error, passed on",
        open_object({"message": text()}, "message"),
        {"message": "Invalid refresh token"},
    ),
)
