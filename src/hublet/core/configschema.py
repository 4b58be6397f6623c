"""The shapes of a config, of a block and of an unrolled config, as Continue's config-yaml package checks them (version
1.42, `schemas/`).

Two things differ from theirs on purpose. Names that every JavaScript object inherits (`constructor`) are keys like any
other here. And what is wrong with a text that is no YAML is said in our own words.
"""

from __future__ import annotations

from hublet.core.shapes import (
    Fields,
    Shape,
    anything,
    array,
    boolean,
    both,
    but,
    either,
    exactly,
    matching,
    nullable,
    number,
    one_of,
    optional,
    pair,
    record,
    text,
)

_SEMVER = (
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9A-Za-z-][0-9A-Za-z-]*)"
    r"(?:\.(?:0|[1-9A-Za-z-][0-9A-Za-z-]*))*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)

_texts = array(text)
_text_or_texts = either(text, _texts)


def _all_optional(shape: Shape, names: str) -> dict[str, Shape]:
    return {name: optional(shape) for name in names.split()}


_request_options = Fields(
    timeout=optional(number),
    verifySsl=optional(boolean),
    caBundlePath=optional(_text_or_texts),
    proxy=optional(text),
    headers=optional(record(text)),
    extraBodyProperties=optional(record(anything)),
    noProxy=optional(_texts),
    clientCertificate=optional(Fields(cert=text, key=text, passphrase=optional(text))),
)
_completion = Fields(
    **_all_optional(number, "contextLength maxTokens temperature topP topK minP presencePenalty frequencyPenalty"),
    stop=optional(_texts),
    n=optional(number),
    reasoning=optional(boolean),
    reasoningBudgetTokens=optional(number),
    **_all_optional(boolean, "promptCaching stream"),
)
_tool_override = Fields(
    **_all_optional(text, "description displayTitle wouldLikeTo isCurrently hasAlready"),
    systemMessageDescription=optional(
        Fields(prefix=optional(text), exampleArgs=optional(array(pair(text, either(text, number)))))
    ),
    disabled=optional(boolean),
)
_chat = Fields(
    **_all_optional(text, "baseSystemMessage baseAgentSystemMessage basePlanSystemMessage"),
    toolOverrides=optional(record(_tool_override)),
)
_autocomplete = Fields(
    disable=optional(boolean),
    **_all_optional(number, "maxPromptTokens debounceDelay modelTimeout maxSuffixPercentage prefixPercentage"),
    transform=optional(boolean),
    template=optional(text),
    **_all_optional(
        boolean,
        "onlyMyCode useCache useImports useRecentlyEdited useRecentlyOpened experimental_includeClipboard"
        " experimental_includeRecentlyVisitedRanges experimental_includeRecentlyEditedRanges"
        " experimental_includeDiff experimental_enableStaticContextualization",
    ),
)
_chat_template = one_of(
    "llama2", "alpaca", "zephyr", "phi2", "phind", "anthropic", "chatml", "none", "openchat", "deepseek",
    "xwin-coder", "neural-chat", "codellama-70b", "llava", "gemma", "granite", "llama3", "codestral",
)  # fmt: skip
_env = record(either(text, number, boolean))
_model = Fields(
    name=text,
    model=text,
    **_all_optional(text, "apiKey apiBase"),
    maxStopWords=optional(number),
    roles=optional(array(one_of("chat", "autocomplete", "embed", "rerank", "edit", "apply", "summarize", "subagent"))),
    capabilities=optional(_texts),
    defaultCompletionOptions=optional(_completion),
    cacheBehavior=optional(Fields(**_all_optional(boolean, "cacheSystemMessage cacheConversation"))),
    requestOptions=optional(_request_options),
    embedOptions=optional(
        Fields(
            **_all_optional(number, "maxChunkSize maxBatchSize"),
            embeddingPrefixes=optional(record(text, either(exactly("chunk"), exactly("query")))),
        )
    ),
    chatOptions=optional(_chat),
    promptTemplates=optional(
        Fields(apply=optional(text), chat=optional(_chat_template), edit=optional(text), autocomplete=optional(text))
    ),
    useLegacyCompletionsEndpoint=optional(boolean),
    env=optional(_env),
    autocompleteOptions=optional(_autocomplete),
)
_proxied = _model.extended(
    provider=exactly("continue-proxy"), apiKeyLocation=optional(text), envSecretLocations=optional(record(text))
)
_direct = _model.extended(provider=but(text, lambda value: value != "continue-proxy"))
_any_model = either(
    _proxied.extended(orgScopeId=nullable(text), onPremProxyUrl=nullable(text)),
    _direct.extended(sourceFile=optional(text)),
)

_server = Fields(
    name=text,
    **_all_optional(text, "serverName faviconUrl sourceFile sourceSlug"),
    connectionTimeout=optional(
        but(number, lambda value: isinstance(value, int | float) and value > 0, "Number must be greater than 0")
    ),
)
_stdio = _server.extended(
    command=text,
    type=optional(exactly("stdio")),
    args=optional(_texts),
    env=optional(record(text)),
    cwd=optional(text),
)
_remote = _server.extended(
    url=text,
    type=optional(either(exactly("sse"), exactly("streamable-http"))),
    apiKey=optional(text),
    requestOptions=optional(_request_options),
)

_context = Fields(name=optional(text), provider=text, params=optional(anything))
_data = Fields(
    name=text,
    destination=text,
    schema=matching(_SEMVER, "Version must follow semver format, e.g. 0.2.0"),
    level=optional(either(exactly("all"), exactly("noCode"))),
    events=optional(_texts),
    requestOptions=optional(_request_options),
    apiKey=optional(text),
)
_prompt = Fields(name=text, description=optional(text), prompt=text, sourceFile=optional(text))
_docs = Fields(
    name=text,
    startUrl=text,
    **_all_optional(text, "rootUrl faviconUrl"),
    useLocalCrawling=optional(boolean),
    sourceFile=optional(text),
)
_rule = either(
    text,
    Fields(
        name=text,
        rule=text,
        description=optional(text),
        globs=optional(_text_or_texts),
        regex=optional(_text_or_texts),
        **_all_optional(boolean, "alwaysApply invokable"),
        sourceFile=optional(text),
    ),
)

_ITEMS: dict[str, tuple[Shape, Shape | None]] = {
    "models": (_any_model, either(_proxied.partial(), _direct.partial())),
    "context": (_context, _context.partial()),
    "data": (_data, _data.partial()),
    "mcpServers": (either(_stdio, _remote), either(_stdio.partial(), _remote.partial())),
    "prompts": (_prompt, _prompt.partial()),
    "docs": (_docs, _docs.partial()),
    "rules": (_rule, None),
}
"""For each section the shape of an item, and the shape of what may be overridden in an item from a block."""

_base = Fields(
    name=text,
    version=text,
    schema=optional(text),
    metadata=optional(
        both(
            record(text),
            Fields(**_all_optional(text, "tags sourceCodeUrl description author license iconUrl")),
        )
    ),
    env=optional(_env),
    requestOptions=optional(_request_options),
)


def _used(override: Shape | None) -> Fields:
    more: dict[str, Shape] = {} if override is None else {"override": optional(override)}
    return Fields(uses=text, **{"with": optional(record(text))}, **more)


CONFIG = _base.extended(
    **{name: optional(array(either(item, _used(override)))) for name, (item, override) in _ITEMS.items()}
)
"""A config as an author writes it: each item is written out, or `uses` a block."""

UNROLLED = _base.extended(**{name: optional(array(nullable(item))) for name, (item, _) in _ITEMS.items()})
"""A config as a client reads it: all items are written out, and null stands where a block could not be had."""

_BLOCK_ORDER = ("models", "context", "data", "mcpServers", "rules", "prompts", "docs")
BLOCK = both(_base, either(*(Fields(**{name: array(_ITEMS[name][0], length=1)}) for name in _BLOCK_ORDER)))
"""A block: the first section that has exactly one item. Its other sections are dropped."""
