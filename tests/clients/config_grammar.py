"""Configs, blocks and registries that hypothesis makes: mostly sound, with everything that authors get wrong."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import strategies as st

from hublet.core import yamlwrite
from tests.clients.config_yaml import Case

Json = Any

SLUGS = ("acme/model", "acme/rules", "acme/mcp", "dana/prompt", "acme/two", "acme/odd", "acme/gone")
KEYS = ("API_KEY", "TOKEN", "team.key", "K-1", "Ключ")

_word = st.sampled_from(
    ["chat", "House", "on", "012", "1e3", "1:30", "null", "a: b", "- x", "日本語 🔑", "x # y", "", " pad "]
)
_variable = st.one_of(
    st.builds(
        "${{{{{}secrets.{}{}}}}}".format,
        st.sampled_from(["", " ", "  "]),
        st.sampled_from([*KEYS, "user:dana/TOKEN", "acme/x/DEEP", "odd/NAME"]),
        st.sampled_from(["", " "]),
    ),
    st.builds("${{{{ inputs.{} }}}}".format, st.sampled_from(["TEAM", "SIZE", "constructed"])),
    st.sampled_from(["${API_KEY}", "$TOKEN", "{{{ input }}}", "${{ }}", "${{${{ secrets.TOKEN }}", "${{ a b }}"]),
)
text = st.one_of(
    _word,
    st.lists(st.one_of(_word, _variable, st.just("\n"), st.just(" ")), max_size=4).map("".join),
    _variable,
    st.builds("Bearer {}".format, _variable),
).filter(lambda text: "\n" not in text or not text.startswith((" ", "\n")))
"""Their writer loses blanks at the start of a text with line ends, and with them references behind."""

_name = st.one_of(st.sampled_from(["One", "Two", "Three"]), text)
_wrong = st.one_of(
    st.none(), st.integers(-3, 3), st.booleans(), st.just([]), st.just({}), st.just(["x"]), st.floats(0, 1)
)
_number = st.one_of(st.integers(0, 200_000), st.floats(0, 2), st.integers(1, 9))


def _maybe(strategy: st.SearchStrategy[Json], wrong: int = 250) -> st.SearchStrategy[Json]:
    """A value, now and then of a wrong type."""
    return st.integers(0, wrong).flatmap(lambda at: _wrong if at == 0 else strategy)


def _object(needed: dict[str, Json], free: dict[str, Json]) -> st.SearchStrategy[dict[str, Json]]:
    """An object with keys left out at times, foreign ones added, and wrong values."""
    return st.fixed_dictionaries(
        {key: _maybe(value) for key, value in needed.items()},
        optional={**{key: _maybe(value) for key, value in free.items()}, "foreign": text},
    )


_headers = st.dictionaries(st.sampled_from(["X-A", "X-B", "${{ secrets.TOKEN }}"]), text, max_size=2)
request_options = _object(
    {},
    {
        "timeout": _number,
        "verifySsl": st.booleans(),
        "headers": _headers,
        "noProxy": st.lists(text, max_size=2),
        "extraBodyProperties": st.dictionaries(text, _wrong, max_size=2),
    },
)
_env = st.dictionaries(
    st.sampled_from(["region", "key", "n"]), st.one_of(text, st.integers(), st.booleans()), max_size=3
)
_roles = st.lists(st.sampled_from([*["chat", "edit", "embed", "rerank"] * 5, "nonsense"]), max_size=2)
_options = _object(
    {}, {"temperature": _number, "maxTokens": _number, "stop": st.lists(text, max_size=2), "stream": st.booleans()}
)
_model = _object(
    {
        "name": _name,
        "provider": st.sampled_from([*["openai", "anthropic", "bedrock"] * 4, "continue-proxy"]),
        "model": text,
    },
    {
        "apiKey": text,
        "apiBase": text,
        "roles": _roles,
        "env": _env,
        "requestOptions": request_options,
        "defaultCompletionOptions": _options,
        "capabilities": st.lists(text, max_size=2),
        "orgScopeId": st.one_of(st.none(), text),
        "onPremProxyUrl": st.none(),
        "apiKeyLocation": text,
        "promptTemplates": _object({}, {"chat": st.sampled_from([*["llama2", "none"] * 5, "x"])}),
        "embedOptions": _object(
            {}, {"embeddingPrefixes": st.dictionaries(st.sampled_from([*["chunk", "query"] * 5, "no"]), text)}
        ),
    },
)
_server = _object(
    {"name": _name},
    {
        "command": text,
        "args": st.lists(text, max_size=3),
        "env": st.dictionaries(text, text, max_size=2),
        "url": text,
        "type": st.sampled_from(["stdio", "stdio", "sse", "streamable-http", "x"]),
        "connectionTimeout": st.sampled_from([*[1, 2.5] * 5, 0]),
        "requestOptions": request_options,
        "apiKey": text,
        "cwd": text,
        "sourceSlug": text,
    },
)
_ITEMS: dict[str, st.SearchStrategy[Json]] = {
    "models": _model,
    "context": _object({"provider": st.sampled_from(["code", "diff", "docs"])}, {"name": _name, "params": _wrong}),
    "data": _object(
        {"name": _name, "destination": text, "schema": st.sampled_from([*["0.2.0", "1.0.0-rc.1"] * 5, "0.2"])},
        {"level": st.sampled_from([*["all", "noCode"] * 5, "x"]), "events": st.lists(text, max_size=2), "apiKey": text},
    ),
    "mcpServers": _server,
    "prompts": _object({"name": _name, "prompt": text}, {"description": text}),
    "docs": _object({"name": _name, "startUrl": text}, {"rootUrl": text, "useLocalCrawling": st.booleans()}),
    "rules": st.one_of(
        text,
        _object(
            {"name": _name, "rule": text},
            {"globs": st.one_of(text, st.lists(text, max_size=2)), "alwaysApply": st.booleans()},
        ),
    ),
}
_uses = st.one_of(
    st.sampled_from(SLUGS),
    st.builds("{}@{}".format, st.sampled_from(SLUGS), st.sampled_from(["1.0.0", "latest", ""])),
    st.sampled_from(["./local.yaml", "file:///x/rule.md", "", "alone", "a/b/c@d"]),
)


def _use(section: str) -> st.SearchStrategy[Json]:
    override = _ITEMS[section].map(lambda item: {k: v for k, v in item.items() if v} if isinstance(item, dict) else {})
    given = st.dictionaries(st.sampled_from(["TEAM", "SIZE", "OTHER"]), _maybe(text), max_size=3)
    return _object({"uses": _uses}, {"with": given} | ({"override": override} if section != "rules" else {}))


def _config(sections: st.SearchStrategy[dict[str, Json]]) -> st.SearchStrategy[Json]:
    head = _object(
        {"name": text, "version": st.sampled_from(["1.0.0", "0"])},
        {
            "schema": st.just("v1"),
            "requestOptions": request_options,
            "env": _env,
            "metadata": st.dictionaries(text, text, max_size=2),
        },
    )
    return st.builds(lambda one, other: {**one, **other}, head, sections)


config = _config(
    st.fixed_dictionaries(
        {},
        optional={name: _maybe(st.lists(st.one_of(item, _use(name)), max_size=3), 60) for name, item in _ITEMS.items()},
    )
)
_block = st.sampled_from(list(_ITEMS)).flatmap(
    lambda name: _config(st.fixed_dictionaries({name: st.lists(_ITEMS[name], min_size=1, max_size=2)}))
)

_STYLES = (
    yamlwrite.dump,
    lambda value: json.dumps(value, ensure_ascii=False),
    lambda value: yaml.safe_dump(value, allow_unicode=True, sort_keys=False),
    lambda value: yaml.safe_dump(value, default_style='"', width=30),
    lambda value: "\ufeff" + yamlwrite.dump(value).replace("\n", "\r\n").removesuffix("\r\n"),
)
_written = st.sampled_from(_STYLES)
_markdown = st.builds(
    "{}{}\n{}".format,
    st.sampled_from(
        ["", "---\nname: M\nglobs: '*.py'\n---\n", "---\nname: [\n---\n", "---\n---\n", "---\nalwaysApply: 1\n---\n\n"]
    ),
    text,
    text,
)
_source = st.one_of(
    st.builds(lambda value, write: write(value), _block, _written),
    st.builds(lambda value, write: write(value), _block, _written),
    _markdown,
    st.sampled_from(["", "name: [", "models:\n  - name: ${{ inputs.TEAM }}\n    temperature: ${{ inputs.SIZE }}\n"]),
)

cases = st.builds(
    Case,
    text=st.one_of(*[st.builds(lambda value, write: write(value), config, _written)] * 4, _source),
    id=st.sampled_from(["dana/asst", "dana/asst", "/home/dana/asst.yaml", "/home/dana/asst.yaml", "./notes.md"]),
    registry=st.dictionaries(
        st.builds("{}@{}".format, st.sampled_from(SLUGS), st.sampled_from(["latest", "latest", "1.0.0"])),
        _source,
        max_size=6,
    ),
    render=st.booleans(),
    proxied=st.booleans(),
    scope=st.sampled_from([None, "org_acme"]),
    proxy=st.sampled_from([None, "https://proxy.example"]),
    allowed=st.one_of(st.none(), st.none(), st.just(("acme/model", "acme/rules"))),
    blocked=st.sampled_from([(), (), ("acme/mcp",)]),
    injected=st.one_of(
        st.just(()), st.lists(st.sampled_from(["acme/rules", "acme/model", "dana/prompt"]), max_size=2).map(tuple)
    ),
    request_options=st.one_of(st.none(), st.just({"timeout": 5, "headers": {"X-A": "injected", "X-C": "c"}})),
)
