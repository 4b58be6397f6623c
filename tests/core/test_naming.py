"""What Questions are called for people."""

from __future__ import annotations

import pytest

from hublet.core.naming import name_of, names_by_id
from hublet.core.questions import Assistant, Block, Download, Fqsn, Policy, Question, Roster, Secret, Slug

NAMES = names_by_id([("org_1", "acme", "ACME")])
DEV = Slug("acme", "dev")


@pytest.mark.parametrize(
    ("question", "name"),
    [
        (Assistant("org_1", True, DEV), "acme/dev"),
        (Roster("org_1", False), "assistants of ACME"),
        (Roster("org_2", False), "assistants of org_2"),
        (Roster(None, True), "assistants of the personal scope (proxied)"),
        (Block(DEV, "latest"), "acme/dev@latest"),
        (Download(DEV, "1.0.0"), "acme/dev@1.0.0"),
        (Secret(None, Fqsn((DEV,), "KEY")), "secret acme/dev/KEY"),
        (Policy(), "policy"),
    ],
)
def test_each_kind_of_question_has_a_name(question: Question, name: str) -> None:
    assert name_of(question, NAMES) == name


def test_a_secret_need_not_be_named() -> None:
    """An event tells that there is one, and not which."""
    assert name_of(Secret(None, Fqsn((DEV,), "KEY")), NAMES, secrets=False) == "secret"
