"""Exported files in the hands of those who read them: `cn` 1.5.47 (no Hub code), config-yaml and dotenv from npm.

The Hub and hublet are both stopped when `cn` runs.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hublet.core import operations as ops
from hublet.core.envfile import dump_env
from hublet.core.secretstr import SecretStr
from hublet.core.variables import each_string, fill, secrets_of
from hublet.demo.data import DEMO_KEY, ORGANIZATION_SECRETS, USER_SECRETS, World, sample_world
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from hublet.serve.exporting import Wish, export
from tests.clients.cn import WITHOUT_HUB, Cn
from tests.clients.config_yaml import Case, Theirs, continues_own, registry
from tests.clients.pretend_llm import PretendLlm
from tests.in_process import in_process
from tests.running import Home

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

NOBODY = "http://127.0.0.1:9/"
_PROVIDERS = "anthropic openai ollama gemini mistral deepseek cohere lmstudio together bedrock azure voyage"
_MODEL = re.compile(rf"^( +)provider: (?:{_PROVIDERS.replace(' ', '|')})$", re.MULTILINE)


TOOL = """\
#!/bin/sh
TOKEN="pin $PIN github $GITHUB_PERSONAL_ACCESS_TOKEN" exec {python} {script}
"""


def all_of_one_kind(world: World, url: str, tool: Path) -> None:
    """Let every model be one that the pretend server can answer, and every MCP server one that is there; names, keys,
    environments and all else stay."""

    def changed(text: str) -> str:
        text = re.sub(r"^ +apiBase: .*\n", "", text, flags=re.MULTILINE)
        text = _MODEL.sub(rf"\1provider: openai\n\1apiBase: {url}", text)
        text = re.sub(r"^( +)type: sse\n +url: .*$", r"\1command: x", text, flags=re.MULTILINE)
        return re.sub(r"^( +command:) .*$", rf"\1 {tool}", text, flags=re.MULTILINE)

    world.sources.update({slug: changed(text) for slug, text in world.sources.items()})
    for versions in world.blocks.values():
        versions.update({version: changed(text) for version, text in versions.items()})


def first_key(source: str, blocks: dict[str, dict[str, str]]) -> str | None:
    """The name of the secret that an assistant's first sound model has for its key, as its author wrote it."""
    models = source.partition("\nmodels:\n")[2]
    for model in re.split(r"^  - ", models, flags=re.MULTILINE)[1:]:
        text = model
        if uses := re.match(r"uses: (\S+)", model):
            slug, _, version = uses[1].partition("@")
            versions = blocks.get(slug, {"": ""})
            text = versions.get(version) or list(versions.values())[-1]
            if not text or ("inputs." in text and "with:" not in model):
                continue
        found = re.search(r"apiKey: \$\{\{ *(?:secrets|inputs)\.(\w+) *\}\}", text)
        return found[1] if found else None
    raise AssertionError("no model")


@pytest.fixture
def exported(home: Home, hub_server: HubServer, llm: PretendLlm) -> dict[str, dict[str, Any]]:
    """`hublet export` into Continue's own folder, with values beside; then the Hub is stopped. What doctor --sunset
    says of each assistant by its slug, those of organizations by `slug place`."""
    tool = home.path / "tool"
    tool.write_text(TOOL.format(python=sys.executable, script=Path(__file__).with_name("mcp_of_one_tool.py")))
    tool.chmod(0o755)
    all_of_one_kind(hub_server.hub.world, llm.url, tool)
    home.login("con_demo_key_not_secret")
    done = home.hublet("export", "continue", "--env", "continue/.env")
    assert done.returncode == 0, done.stderr.decode()
    said = home.hublet("doctor", "--sunset", "--json")
    hub_server.stop()
    (home.path / "continue" / ".onboarding_complete").touch()
    home.own()
    found = json.loads(said.stdout)["assistants"]
    return {f"{one['slug']} {one['place']}".rstrip(): one for one in found}


def prompt(cn: Cn, *words: str) -> str:
    folder = {"CONTINUE_GLOBAL_DIR": str(cn.home.path / "continue")}
    done = cn.headless(NOBODY, *words, key=None, more=folder)
    assert done.returncode == 0, (words, done.stdout.decode(), done.stderr.decode())
    return done.stdout.decode().strip()


def test_every_assistant_that_works_runs_a_prompt_without_hub_and_hublet(
    home: Home, hub_server: HubServer, node_modules: Path, llm: PretendLlm, exported: dict[str, dict[str, Any]]
) -> None:
    """The model server gets the real key, out of the `.env` that `cn` reads; also of `config.yaml` without a word."""
    working = [name for name, one in exported.items() if one["standing"] in ("works", "with a key")]
    assert {"dana/night-owl", "dana/polyglot", "dana/quiet", "acme/team-chat", "initech/report-helper"} <= set(working)
    world, cn = hub_server.hub.world, Cn(home, node_modules, WITHOUT_HUB)
    for name in working:
        slug, _, place = name.partition(" ")
        file = f"continue/agents/{slug.replace('/', '.')}{f'.{place}' if place else ''}.yaml"
        assert prompt(cn, "--config", file) == llm.text, name
        if slug == "dana/data-desk":
            assert f"pin {USER_SECRETS['PIN']} github" in str(llm.prompts[0].body["tools"]), "the tool got its value"
        key = first_key(world.sources[slug], world.blocks)
        found = llm.bearers()
        assert len(found) == 1, name
        if key is not None:
            assert found == [f"Bearer {USER_SECRETS[key]}"], name
        else:
            assert "canary" not in str(found), name
    assert prompt(cn) == llm.text
    assert llm.bearers() == [f"Bearer {USER_SECRETS['LLM_KEY']}"]


def test_an_assistant_whose_key_was_the_hubs_runs_with_one_that_the_person_got(
    home: Home, node_modules: Path, llm: PretendLlm, exported: dict[str, dict[str, Any]]
) -> None:
    """Under the names that the report and the file say. Without them `cn` does not begin: an MCP server lacks one."""
    cn = Cn(home, node_modules, WITHOUT_HUB)
    parts = {part["name"]: part for part in exported["acme/backend-reviewer"]["parts"]}
    assert "ACME_OPENAI_KEY (ask the organization acme)" in parts["GPT-4.1 (Acme)"]["why"]
    file = "continue/agents/acme.backend-reviewer.yaml"
    assert "ACME_OPENAI_KEY (ask the organization acme)" in (home.path / file).read_text()
    with pytest.raises(AssertionError, match="MCP server"):
        prompt(cn, "--config", file)
    with (home.path / "continue" / ".env").open("a") as env:
        env.write("ACME_OPENAI_KEY=sk-of-ones-own\nACME_GATEWAY_TOKEN=gate\nACME_JIRA_TOKEN=jira\n")
    assert prompt(cn, "--config", file) == llm.text
    assert llm.bearers() == ["Bearer sk-of-ones-own"]


@pytest.fixture(scope="module")
def theirs(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    with continues_own(node_modules, tmp_path_factory.mktemp("config-yaml")) as process:
        yield process


_pieces = st.sampled_from([*"'\"`\\#$= \n\r\tn{}", "\\n", "${A}", "# x", "a", "é", "🔑", "export "])
_nasty = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20), st.lists(_pieces, max_size=8).map("".join)
)


@given(values=st.dictionaries(st.sampled_from(["A", "B_1", "_C", "LONG_NAME"]), _nasty, max_size=4))
@example(values={"A": "a b\\", "B_1": "#"})
@settings(max_examples=1000, deadline=None)
def test_dotenv_reads_the_values_that_were_written(theirs: Theirs, values: dict[str, str]) -> None:
    """Each as it was; what no quotes can hold is named and left out, and disturbs no other."""
    text, left = dump_env({name: SecretStr(value) for name, value in values.items()}, "two\nlines")
    assert theirs.dotenv(text) == {name: value for name, value in values.items() if name not in left}


def hub_says(scope: str | None) -> dict[str, Any]:
    """The demo Hub's answer for each assistant of a scope, values in clear."""
    call = ops.write(ops.ListAssistants(scope))
    reply = Hub().respond("GET", call.target, {"authorization": f"Bearer {DEMO_KEY}"}, b"")
    listed = json.loads(reply.body)
    return {f"{each['ownerSlug']}/{each['packageSlug']}": each["configResult"]["config"] for each in listed}


def sections(config: Any) -> dict[str, Any]:
    """What there is to run: without the head, and without the gaps that failed blocks leave."""
    kept = {name: value for name, value in config.items() if name not in ("name", "version", "schema")}
    return {name: [item for item in items if item is not None] for name, items in kept.items() if items}


def with_values(value: object, values: Mapping[str, str]) -> object:
    """References replaced: by the value where its last word has one, else by that word alone, since theirs writes the
    way to a secret into its name, and so does the Hub."""

    def filled(text: str) -> str:
        words = {name: name.rpartition("/")[2].rpartition(":")[2] for name in secrets_of(text)}
        return fill(text, {f"secrets.{name}": values.get(word, f"<{word}>") for name, word in words.items()})

    return each_string(value, filled)


def as_its_author_wrote_it(theirs: Theirs, slug: str, name: str) -> Any:
    """A model of an assistant, blocks in place, references as they stand."""
    world = sample_world()
    unrolled = theirs.unroll(Case(world.sources[slug], slug, registry(world), render=False))
    return next(model for model in unrolled["config"]["models"] if model and model["name"] == name)


async def everything(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """All files of an export, and the values that are told beside them."""
    async with in_process(path) as it:
        await it.log_in()
        answer = export(it.service, Wish(values="env"))
    assert not answer["left"]
    return answer["files"], dict(line.split("=", 1) for line in answer["env"].splitlines() if line[0] != "#")


def test_exported_files_unroll_to_what_the_hub_answered(theirs: Theirs, tmp_path: Path) -> None:
    """Item by item, with every known value in its place; a model that only the Hub could answer is what its author
    wrote. No value stands in a file."""
    files, written = asyncio.run(everything(tmp_path))
    values = {name: value.strip("'") for name, value in written.items()}
    compared = proxied = 0
    for scope, place in ((None, ""), ("org_acme", "acme"), ("org_initech", "initech")):
        for slug, answer in hub_says(scope).items():
            variant = f"agents/{slug.replace('/', '.')}.{place}.yaml"
            file = variant if variant in files else f"agents/{slug.replace('/', '.')}.yaml"
            if answer is None:
                assert file not in files
                continue
            assert not any(value in files[file] for value in USER_SECRETS.values() if len(value) > 8)
            theirs_of = theirs.unroll(Case(files[file], f"/home/dana/{file}", render=False))
            got, expected = sections(theirs_of["config"]), sections(answer)
            assert got.keys() == expected.keys(), slug
            parsed = theirs.read(files[file])["ok"]
            assert "ok" in theirs.check([parsed])[0]
            assert (parsed["name"], parsed["version"], parsed["schema"]) == (answer["name"], answer["version"], "v1")
            for section, items in expected.items():
                assert len(got[section]) == len(items), (slug, section)
                for mine, said in zip(got[section], items, strict=True):
                    known = values
                    if isinstance(said, dict) and said.get("provider") == "continue-proxy":
                        said = as_its_author_wrote_it(theirs, slug, said["name"])
                        known = values | USER_SECRETS if scope is None else values
                        proxied += 1
                    # A secret of one name in two places has its assistant's name before it in one of them.
                    mine = with_values(mine, known)
                    said = with_values(said, known | hidden(scope))
                    assert unprefixed(mine, slug) == said, (slug, section)
                    compared += 1
    assert compared > 150
    assert proxied > 8


def hidden(scope: str | None) -> dict[str, str]:
    """What an organization's own secrets are shown as, also those that have the name of one of the user's."""
    return {name: f"<{name}>" for name in ORGANIZATION_SECRETS.get(scope or "", {})}


def unprefixed(value: object, slug: str) -> object:
    prefix = "<" + re.sub(r"\W", "_", slug).upper() + "_"
    return each_string(value, lambda text: text.replace(prefix, "<"))
