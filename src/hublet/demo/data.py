"""The sample world: everything that a pretend Hub knows. It is mutable; the Hub changes it under its lock."""

from __future__ import annotations

from dataclasses import dataclass, field

from hublet.demo import assistants, team
from hublet.demo.blocks import BLOCKS
from hublet.demo.icons import png

DEMO_KEY = "con_demo_key_not_secret"
DEMO_REFRESH_TOKEN = "demo-refresh-token-not-secret"  # noqa: S105  # a sample value
DEFAULT_LLM_URL = "http://localhost:11434/v1"
USER = "dana"
ACME, INITECH = "org_acme", "org_initech"

USER_SECRETS: dict[str, str] = {
    "LLM_KEY": "canary-user-llm-5d0c1f7e",
    "ANTHROPIC_API_KEY": "canary-user-anthropic-91b3aa06",
    "OPENAI_API_KEY": "canary-user-openai-e24f80c9",
    "GEMINI_API_KEY": "canary-user-gemini-07d6b1e3",
    "MISTRAL_API_KEY": "canary-user-mistral-c8a95d42",
    "DEEPSEEK_API_KEY": "canary-user-deepseek-3be71f88",
    "COHERE_API_KEY": "canary-user-cohere-6a2c04d5",
    "GITHUB_TOKEN": "canary-user-github-f19e7c30",
    "LINEAR_TOKEN": "canary-user-linear-2287bd6e",
    "PG_PASSWORD": "canary-user-postgres-b05c9e14",
    "COLLECT_KEY": "canary-user-collect-7d43e6fa",
    "TRACE_TOKEN": "canary-user-trace-49f0c2b7",
    "UNICODE_TOKEN": "canary-user-schlüssel-鍵-🔑",
    "PIN": "9#k4",
}
"""Dana's own secrets, whose values the Hub serves in clear. `PIN` is short on purpose."""

ORGANIZATION_SECRETS: dict[str, dict[str, str]] = {
    ACME: {
        "ACME_OPENAI_KEY": "canary-acme-openai-8c1d5e70",
        "ACME_GATEWAY_TOKEN": "canary-acme-gateway-35fa29b6",
        "ACME_JIRA_TOKEN": "canary-acme-jira-d7e80a41",
        "ACME_VOYAGE_KEY": "canary-acme-voyage-1b6c93f2",
        "ACME_COLLECT_KEY": "canary-acme-collect-e05a7d18",
        "ACME_AWS_ACCESS_KEY_ID": "canary-acme-aws-id-64b2f9c3",
        "ACME_AWS_SECRET_ACCESS_KEY": "canary-acme-aws-secret-a90d3e57",
        "ANTHROPIC_API_KEY": "canary-acme-anthropic-72c8e1bd",
    },
    INITECH: {"INITECH_AZURE_KEY": "canary-initech-azure-0f4e6b92"},
}
"""The organizations' secrets, whose values never leave the Hub. In Acme's scope its ANTHROPIC_API_KEY hides Dana's."""


@dataclass
class Organization:
    id: str
    name: str
    slug: str
    icon: bytes | None = None
    roster: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    disallowed: set[str] = field(default_factory=set)
    on_prem_proxy_url: str | None = None


@dataclass
class World:
    """`sources` are the YAML texts of assistants by slug; a roster says which of them a list names, in which order."""

    user: str
    organizations: dict[str, Organization]
    roster: list[str]
    sources: dict[str, str]
    icons: dict[str, bytes]
    blocks: dict[str, dict[str, str]]
    secrets: dict[str, str] = field(repr=False)
    package_secrets: dict[str, set[str]]
    models_add_on: dict[str, set[str]]
    free_trial: dict[str, set[str]]
    policy: dict[str, object] | None
    policy_slug: str | None
    add_on_subscribed: bool = True
    trial: dict[str, object] = field(default_factory=dict)
    credits: dict[str, object] = field(default_factory=dict)

    def organization(self, scope_id: str | None, slug: str | None = None) -> Organization | None:
        """An organization by id, else by slug; None for the personal scope and for an organization the user is not
        in."""
        if scope_id is not None:
            return self.organizations.get(scope_id)
        return next((each for each in self.organizations.values() if each.slug == slug), None)

    def visible(self, slug: str) -> bool:
        """Whether the user may see an assistant: it is their own, Continue's, or one of their organizations'."""
        owner = slug.partition("/")[0]
        owners = {self.user, "continuedev", *(each.slug for each in self.organizations.values())}
        rosters = (self.roster, *(each.roster for each in self.organizations.values()))
        return slug in self.sources and (owner in owners or any(slug in roster for roster in rosters))

    def block(self, slug: str, version: str | None = None) -> str | None:
        """The text of a package or an assistant; None when there is none. `latest` and None mean the newest version."""
        versions = self.blocks.get(slug)
        if versions is None:
            return self.sources.get(slug) if version in (None, "latest") else None
        return versions[list(versions)[-1]] if version in (None, "latest") else versions.get(str(version))


def sample_world(llm_url: str | None = None) -> World:
    """A new world, the same every time. `llm_url` is the address of the model of the two chat assistants."""
    url = llm_url or DEFAULT_LLM_URL
    mine, theirs = assistants.personal(url), team.acme(url)
    return World(
        user=USER,
        organizations={
            ACME: Organization(
                ACME,
                "Acme Corp",
                "acme",
                png((200, 30, 60)),
                [*theirs, "dana/night-owl"],
                dict(ORGANIZATION_SECRETS[ACME]),
            ),
            INITECH: Organization(
                INITECH,
                "Initech Ünïversal 株式会社 🏭",
                "initech",
                png((20, 90, 160)),
                list(team.INITECH),
                dict(ORGANIZATION_SECRETS[INITECH]),
                {"dana/night-owl"},
                "https://continue-proxy.initech.example",
            ),
        },
        roster=list(mine),
        sources=mine | theirs | team.INITECH | assistants.UNLISTED,
        icons={
            "dana/local-chat": png((10, 120, 60)),
            "dana/night-owl": png((40, 20, 90)),
            "dana/polyglot": png((240, 160, 20)),
            "acme/team-chat": png((200, 30, 60), 24),
            "acme/backend-reviewer": png((90, 90, 90), 32),
            "initech/tps-reports": png((20, 90, 160), 24),
        },
        blocks={slug: dict(versions) for slug, versions in BLOCKS.items()},
        secrets=dict(USER_SECRETS),
        package_secrets={"acme/house-model": {"HOUSE_KEY"}},
        models_add_on={"openai/gpt-4.1": {"GPT_ADD_ON_KEY"}},
        free_trial={"anthropic/claude-3-5-haiku": {"HAIKU_TRIAL_KEY"}},
        policy={
            "allowAnonymousTelemetry": False,
            "allowOtherOrgs": True,
            "allowCodebaseIndexing": True,
            "allowMcpServers": True,
        },
        policy_slug="acme",
        trial={
            "optedInToFreeTrial": True,
            "chatCount": 12,
            "autocompleteCount": 340,
            "chatLimit": 50,
            "autocompleteLimit": 2000,
        },
        credits={"optedInToFreeTrial": True, "hasCredits": True, "creditBalance": 1250, "hasPurchasedCredits": False},
    )
