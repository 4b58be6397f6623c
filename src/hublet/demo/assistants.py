"""The personal assistants of the sample world, and Continue's own defaults, as their authors wrote them."""

from __future__ import annotations

_NIGHT_OWL = """\
# Written by hand; comments survive in rawYaml only.
name: Night Owl
version: 1.4.0
schema: v1
models:
  - name: Claude Opus 4
    provider: anthropic
    model: claude-opus-4-20250514
    apiKey: ${{ secrets.ANTHROPIC_API_KEY }}
    roles: [chat, edit]
    requestOptions:
      headers:
        X-Trace-Token: ${{ secrets.TRACE_TOKEN }}
  - name: GPT-4o
    provider: openai
    model: gpt-4o
    apiKey: ${{secrets.OPENAI_API_KEY}}
    roles: [chat]
  - name: Qwen Coder
    provider: ollama
    model: qwen2.5-coder:1.5b
    roles: [autocomplete]
rules:
  - Answer in short sentences after ten in the evening.
  - name: Tests
    rule: Every change comes with a test.
    globs: ["src/**/*.py", "tests/**/*.py"]
prompts:
  - name: standup
    description: What did I do today?
    prompt: Summarise my commits of today in three bullet points.
context:
  - provider: code
  - provider: diff
  - provider: codebase
    params:
      nRetrieve: 25
"""

_POLYGLOT = """\
name: 多语言 Полиглот 🦉
version: 2.0.0
schema: v1
models:
  - name: Gemini 2.5 Pro ✨
    provider: gemini
    model: gemini-2.5-pro
    apiKey: ${{ secrets.GEMINI_API_KEY }}
    roles: [chat, edit]
  - name: Mistral Großmodell
    provider: mistral
    model: mistral-large-latest
    apiKey: ${{ secrets.MISTRAL_API_KEY }}
    requestOptions:
      headers:
        X-Grüße: hallo-${{ secrets.UNICODE_TOKEN }}
rules:
  - 请用用户的语言回答。
  - أجب بلغة المستخدم دائمًا.
  - "Zitiere „so“, не «так»; \\U0001F44D\\u200D is fine."
prompts:
  - name: 翻訳
    description: 選択部分を日本語に
    prompt: "次の文を日本語に訳してください: {{{ input }}}"
docs:
  - name: Документация
    startUrl: https://docs.example/ру/введение
"""

_DATA_DESK = """\
name: Data Desk
version: 0.9.1
schema: v1
models:
  - name: DeepSeek Chat
    provider: deepseek
    model: deepseek-chat
    apiKey: ${{ secrets.DEEPSEEK_API_KEY }}
mcpServers:
  - name: Postgres
    command: npx
    args:
      - -y
      - "@modelcontextprotocol/server-postgres"
      - postgresql://reader:${{ secrets.PG_PASSWORD }}@db.example:5432/desk
    env:
      PGSSLMODE: require
      PIN: ${{ secrets.PIN }}
  - name: Linear
    type: sse
    url: https://mcp.linear.example/sse?token=${{ secrets.LINEAR_TOKEN }}
    requestOptions:
      headers:
        Authorization: Bearer ${{ secrets.LINEAR_TOKEN }}
data:
  - name: Desk warehouse
    destination: https://collect.example/v1
    schema: 0.2.0
    level: noCode
    events: [autocomplete, chatInteraction]
    apiKey: ${{ secrets.COLLECT_KEY }}
context:
  - provider: postgres
    params:
      host: db.example
      password: ${{ secrets.PG_PASSWORD }}
  - provider: terminal
docs:
  - name: PostgreSQL
    startUrl: https://www.postgresql.org/docs/current/
rules:
  - "The read-only password is ${{ secrets.PG_PASSWORD }}; never print it."
"""

_RUST_SMITH = """\
name: Rust Smith
version: 1.0.3
schema: v1
models:
  - uses: anthropic/claude-sonnet-4
    with:
      ANTHROPIC_API_KEY: ${{ secrets.ANTHROPIC_API_KEY }}
    override:
      roles: [chat]
      defaultCompletionOptions:
        temperature: 0.2
  - uses: mistral/codestral@1.2.0
    with:
      MISTRAL_API_KEY: ${{ secrets.MISTRAL_API_KEY }}
mcpServers:
  - uses: github/github-mcp
  - uses: upstash/context7-mcp
rules:
  - uses: dana/rust-rules
  - Run clippy before you say that it is done.
context:
  - provider: code
  - provider: problems
"""

_HALF_BROKEN = """\
name: Half Broken
version: 1.0.0
schema: v1
models:
  - uses: acme/gone-model
  - uses: anthropic/claude-sonnet-4
  - name: Llama
    provider: ollama
    model: llama3.1:8b
mcpServers:
  - uses: upstash/context7-mcp
rules:
  - uses: acme/gone-rules
  - Be kind.
"""

_BROKEN = """\
name: Broken
version: 1.0.0
schema: v1
models: everything, please
rules:
  - "it can't be read"
"""

_QUIET = """\
name: Quiet
version: 3.1.0
schema: v1
models:
  - name: Autodetect
    provider: ollama
    model: AUTODETECT
  - name: LM Studio
    provider: lmstudio
    model: qwen3-8b
    apiBase: http://localhost:1234/v1
    apiKey: lm-studio
rules: []
"""

_TRIAL_RUN = """\
name: Trial Run
version: 0.1.0
schema: v1
models:
  - uses: anthropic/claude-3-5-haiku
  - uses: openai/gpt-4.1
  - name: Nobody has this key
    provider: together
    model: meta-llama/Llama-3.3-70B
    apiKey: ${{ secrets.NOT_ANYWHERE }}
rules:
  - uses: continuedev/default-rules
"""

_DEFAULT = """\
name: {name}
version: 1.0.0
schema: v1
models:
  - uses: anthropic/claude-3-5-haiku
rules:
  - uses: continuedev/default-rules
"""


_BIG_RULEBOOK_HEAD = """\
name: Big Rulebook
version: 12.0.0
schema: v1
models:
  - name: Command R
    provider: cohere
    model: command-r-plus
    apiKey: ${{ secrets.COHERE_API_KEY }}
rules:
"""


def _big_rulebook() -> str:
    topics = ("naming", "errors", "tests", "logging", "types", "reviews", "releases", "security")
    rules = "".join(
        f"  - name: Rule {n:03d} on {topics[n % len(topics)]}\n    rule: |\n"
        f"      {n}.1 When you touch {topics[n % len(topics)]}, read what stands around it and follow it.\n"
        f"      {n}.2 If it contradicts rule {(n * 7) % 90:03d}, say so and ask which one should win.\n"
        for n in range(104)
    )
    return _BIG_RULEBOOK_HEAD + rules


def chat(name: str, llm_url: str) -> str:
    """An assistant with one model, at `llm_url`, which speaks OpenAI's API."""
    return f"""\
name: {name}
version: 1.0.0
schema: v1
models:
  - name: Pretend Chat
    provider: openai
    model: pretend-1
    apiBase: {llm_url}
    apiKey: ${{{{ secrets.LLM_KEY }}}}
    roles: [chat]
"""


def personal(llm_url: str) -> dict[str, str]:
    """The YAML texts by slug, in the order of the personal list."""
    return {
        "dana/local-chat": chat("Local Chat", llm_url),
        "dana/night-owl": _NIGHT_OWL,
        "dana/polyglot": _POLYGLOT,
        "dana/data-desk": _DATA_DESK,
        "dana/rust-smith": _RUST_SMITH,
        "dana/half-broken": _HALF_BROKEN,
        "dana/broken": _BROKEN,
        "dana/big-rulebook": _big_rulebook(),
        "dana/quiet": _QUIET,
        "dana/trial-run": _TRIAL_RUN,
    }


UNLISTED = {
    "continuedev/default-cli-config": _DEFAULT.format(name="Default CLI Config"),
    "continuedev/default-agent": _DEFAULT.format(name="Default Agent"),
}
