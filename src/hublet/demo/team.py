"""The organizations' assistants of the sample world, as their authors wrote them."""

from __future__ import annotations

from hublet.demo.assistants import chat

_BACKEND_REVIEWER = """\
name: Backend Reviewer
version: 5.2.0
schema: v1
models:
  - name: GPT-4.1 (Acme)
    provider: openai
    model: gpt-4.1
    apiKey: ${{ secrets.ACME_OPENAI_KEY }}
    roles: [chat, edit, apply]
    requestOptions:
      headers:
        X-Acme-Gateway: ${{ secrets.ACME_GATEWAY_TOKEN }}
  - name: My own Mistral
    provider: mistral
    model: mistral-small-latest
    apiKey: ${{ secrets.MISTRAL_API_KEY }}
mcpServers:
  - name: Jira
    command: uvx
    args: [mcp-atlassian, --token, "${{ secrets.ACME_JIRA_TOKEN }}"]
    env:
      JIRA_URL: https://acme.example/jira
      JIRA_TOKEN: ${{ secrets.ACME_JIRA_TOKEN }}
      GITHUB_TOKEN: ${{ secrets.GITHUB_TOKEN }}
rules:
  - uses: acme/review-rules
prompts:
  - uses: acme/changelog-prompt
docs:
  - uses: acme/handbook-docs
    with:
      BOOK: backend
"""

_HOUSE_STYLE = """\
name: House Style
version: 2.3.1
schema: v1
models:
  - uses: acme/house-model
    with:
      TEAM: platform
  - uses: anthropic/claude-sonnet-4
    with:
      ANTHROPIC_API_KEY: ${{ secrets.ANTHROPIC_API_KEY }}
  - uses: voyageai/voyage-code-3
    with:
      VOYAGE_API_KEY: ${{ secrets.ACME_VOYAGE_KEY }}
rules:
  - uses: acme/review-rules
  - Wir schreiben „Straße“, nicht "Strasse".
prompts:
  - name: refactor
    description: Tidy up without changing behaviour
    prompt: Refactor the selection. Keep every test green.
"""

_CLOUD_PLATFORM = """\
name: Cloud Platform ☁️
version: 1.1.0
schema: v1
models:
  - name: Claude on Bedrock
    provider: bedrock
    model: us.anthropic.claude-sonnet-4-20250514-v1:0
    env:
      region: eu-central-1
      accessKeyId: ${{ secrets.ACME_AWS_ACCESS_KEY_ID }}
      secretAccessKey: ${{ secrets.ACME_AWS_SECRET_ACCESS_KEY }}
    roles: [chat]
  - name: Titan
    provider: bedrock
    model: amazon.titan-embed-text-v2:0
    env:
      region: eu-central-1
      profile: bedrock
    roles: [embed]
mcpServers:
  - name: Terraform
    command: docker
    args: [run, -i, --rm, hashicorp/terraform-mcp-server]
data:
  - name: Acme collector
    destination: https://collect.acme.example
    schema: 0.2.0
    apiKey: ${{ secrets.ACME_COLLECT_KEY }}
"""

_TPS_REPORTS = """\
name: TPS Reports
version: 1999.2.19
schema: v1
models:
  - name: Azure GPT-4o
    provider: azure
    model: gpt-4o
    apiBase: https://initech.openai.azure.example
    apiKey: ${{ secrets.INITECH_AZURE_KEY }}
    env:
      deployment: gpt-4o-tps
      apiType: azure-openai
    roles: [chat]
rules:
  - Every report has the new cover sheet.
"""

_REPORT_HELPER = """\
name: مساعد التقارير 日本語
version: 1.0.0
schema: v1
models:
  - name: نموذج
    provider: openai
    model: gpt-4o-mini
    apiKey: ${{ secrets.OPENAI_API_KEY }}
rules:
  - اكتب التقرير بالعربية.
"""


def acme(llm_url: str) -> dict[str, str]:
    """The YAML texts by slug, in the order of Acme's list, which also names `dana/night-owl`."""
    return {
        "acme/team-chat": chat("Team Chat", llm_url),
        "acme/backend-reviewer": _BACKEND_REVIEWER,
        "acme/house-style": _HOUSE_STYLE,
        "acme/cloud-platform": _CLOUD_PLATFORM,
    }


INITECH = {
    "initech/tps-reports": _TPS_REPORTS,
    "initech/report-helper": _REPORT_HELPER,
}
