"""What Questions are called when people read of them: in the status, in events, in the audit log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hublet.core.questions import Assistant, Block, Download, Question, Roster, Secret

PROXIED = " (proxied)"
"""Ends the name of what was asked for with alwaysUseProxy=true, where the other variant has the same name."""


def name_of(question: Question, organizations: Mapping[str, str], *, secrets: bool = True) -> str:
    """`acme/dev`, `assistants of ACME`, `acme/rules@1.0.0`, `secret acme/dev/API_KEY`; else the Question's kind.

    `organizations` gives names by id. An assistant has one name in all scopes and variants. Without `secrets` no
    secret is named.
    """
    match question:
        case Assistant(slug=slug):
            return str(slug)
        case Roster(scope, proxied):
            where = organizations.get(scope, scope) if scope else "the personal scope"
            return f"assistants of {where}{PROXIED if proxied else ''}"
        case Block(slug, version) | Download(slug, version):
            return f"{slug}@{version}"
        case Secret(fqsn=fqsn) if secrets:
            return f"secret {fqsn}"
    return question.kind


def names_by_id(organizations: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """The names of organizations by their ids, from (id, slug, name) each."""
    return {id_: name for id_, _, name in organizations}
