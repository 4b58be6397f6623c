"""The sample world's blocks: packages that assistants use, by slug and version. The last version is `latest`."""

from __future__ import annotations

_HEAD = "version: {version}\nschema: v1\n"


def _block(name: str, body: str, version: str = "1.0.0") -> dict[str, str]:
    return {version: f"name: {name}\n{_HEAD.format(version=version)}{body}"}


BLOCKS: dict[str, dict[str, str]] = {
    "anthropic/claude-sonnet-4": _block(
        "Claude Sonnet 4",
        """\
models:
  - name: Claude Sonnet 4
    provider: anthropic
    model: claude-sonnet-4-20250514
    apiKey: ${{ inputs.ANTHROPIC_API_KEY }}
    roles: [chat, edit, apply]
    defaultCompletionOptions:
      contextLength: 200000
      maxTokens: 64000
    capabilities: [tool_use, image_input]
""",
    ),
    "anthropic/claude-3-5-haiku": _block(
        "Claude 3.5 Haiku",
        """\
models:
  - name: Claude 3.5 Haiku
    provider: anthropic
    model: claude-3-5-haiku-latest
    apiKey: ${{ secrets.HAIKU_TRIAL_KEY }}
    roles: [chat]
""",
    ),
    "openai/gpt-4.1": _block(
        "GPT-4.1",
        """\
models:
  - name: GPT-4.1
    provider: openai
    model: gpt-4.1
    apiKey: ${{ secrets.GPT_ADD_ON_KEY }}
    roles: [chat, edit, apply]
""",
    ),
    "mistral/codestral": {
        **_block("Codestral", "models:\n  - name: Codestral\n    provider: mistral\n    model: codestral-2405\n"),
        **_block(
            "Codestral",
            """\
models:
  - name: Codestral
    provider: mistral
    model: codestral-latest
    apiKey: ${{ inputs.MISTRAL_API_KEY }}
    apiBase: https://codestral.mistral.ai/v1
    roles: [autocomplete]
""",
            "1.2.0",
        ),
    },
    "voyageai/voyage-code-3": _block(
        "Voyage Code 3",
        """\
models:
  - name: Voyage Code 3
    provider: voyage
    model: voyage-code-3
    apiKey: ${{ inputs.VOYAGE_API_KEY }}
    roles: [embed]
""",
    ),
    "acme/house-model": _block(
        "Acme House Model",
        """\
models:
  - name: Acme House Model
    provider: openai
    model: house-70b
    apiBase: https://llm.acme.example/v1
    apiKey: ${{ secrets.HOUSE_KEY }}
    requestOptions:
      headers:
        X-Team: ${{ inputs.TEAM }}
    roles: [chat, edit]
""",
    ),
    "github/github-mcp": _block(
        "GitHub",
        """\
mcpServers:
  - name: GitHub
    command: docker
    args: [run, -i, --rm, -e, GITHUB_PERSONAL_ACCESS_TOKEN, ghcr.io/github/github-mcp-server]
    env:
      GITHUB_PERSONAL_ACCESS_TOKEN: ${{ secrets.GITHUB_TOKEN }}
""",
    ),
    "upstash/context7-mcp": _block(
        "Context7", "mcpServers:\n  - name: Context7\n    command: npx\n    args: [-y, '@upstash/context7-mcp']\n"
    ),
    "dana/rust-rules": {
        "1.0.0": """\
---
name: Rust rules
globs: "**/*.rs"
alwaysApply: false
description: How we write Rust
---
Prefer borrowing to cloning. Return `Result`, never panic in libraries.
Say in a comment why each `unsafe` is sound.
"""
    },
    "acme/review-rules": _block(
        "Review rules",
        """\
rules:
  - name: Review rules
    rule: |
      Look for missing tests first, then for error paths, then for names.
      Never approve a migration that can't be rolled back.
""",
    ),
    "acme/changelog-prompt": _block(
        "Changelog",
        """\
prompts:
  - name: changelog
    description: Write the changelog entry of this diff
    prompt: |
      @diff
      Write one line for people, starting with a verb. {{{ input }}}
""",
    ),
    "acme/handbook-docs": _block(
        "Handbook", "docs:\n  - name: Acme handbook\n    startUrl: https://handbook.acme.example/${{ inputs.BOOK }}/\n"
    ),
    "continuedev/default-rules": _block(
        "Default rules", "rules:\n  - name: Default rules\n    rule: Be concise. Ask before deleting anything.\n"
    ),
}
