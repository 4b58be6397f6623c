"""Which strings of an assistant are secrets: found by place and by what the author wrote, never by searching."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.core.finding import find, put_back, strings

from hublet.core import referring, secretrefs, yamltree
from hublet.core.questions import Fqsn, Slug
from hublet.core.secretrefs import Found
from hublet.core.yamltree import Leaf

CONFIGS = "HUBLET_TEST_CONFIGS"
"""A folder of real configs, `*.yaml`."""


def check(config: object, raw: str, found: Found) -> dict[tuple[str | int, ...], str]:
    """Filling every hole gives back what was there; the strings as they stand in the template."""
    everything = strings(config, ("config",)) | {("rawYaml",): raw}
    left = dict(everything)
    for path, pieces in found.holes.items():
        assert put_back(everything[path], pieces, found) == everything[path]
        left[path] = "".join(pieces[0::2])
    return left


def model(config_key: str, raw_key: str) -> tuple[dict[str, Any], str]:
    return {"models": [{"name": "M", "apiKey": config_key}]}, f"models:\n  - name: M\n    apiKey: {raw_key}\n"


def test_a_variable_names_what_stands_in_its_place() -> None:
    """`Bearer ${{ secrets.X }}` tells that all behind `Bearer ` is the value of X."""
    config, raw = model("Bearer s3cret", "Bearer ${{ secrets.X }}")
    found = find(config, raw)
    assert found.holes == {("config", "models", 0, "apiKey"): ("Bearer ", "X", "")}
    assert found.bindings["X"].reveal() == "s3cret"


def test_a_string_can_hold_two_variables() -> None:
    """Each with its name, the text between them kept."""
    config = {"rules": ["u=alice p=pass word!"]}
    raw = 'rules:\n  - "u=${{secrets.USER}} p=${{ secrets.PASS }}!"\n'
    found = find(config, raw)
    assert found.holes[("config", "rules", 0)] == ("u=", "USER", " p=", "PASS", "!")
    assert found.bindings["PASS"].reveal() == "pass word"
    check(config, raw, found)


def test_two_variables_side_by_side_are_hidden_as_one() -> None:
    """Nobody can tell where one ends: the whole string is a value without a name."""
    config, raw = model("abc", "${{ secrets.A }}${{ secrets.B }}")
    pieces = find(config, raw).holes[("config", "models", 0, "apiKey")]
    assert pieces == ("", "unnamed/config/models/0/apiKey", "")


def test_a_value_that_equals_the_text_around_it_is_found_by_place() -> None:
    """The literal stays where it is; only what stands in the variable's place is cut."""
    config, raw = model("Bearer Bearer ", '"Bearer ${{ secrets.X }}"')
    found = find(config, raw)
    assert found.holes[("config", "models", 0, "apiKey")] == ("Bearer ", "X", "")
    assert found.bindings["X"].reveal() == "Bearer "


def test_a_short_value_is_not_searched_for_elsewhere() -> None:
    """A PIN of `9` must not make holes wherever a 9 is."""
    config = {"models": [{"name": "M9", "apiKey": "9", "model": "gpt-9"}], "rules": ["Answer in 9 words."]}
    raw = "models:\n  - name: M9\n    apiKey: ${{ secrets.PIN }}\n    model: gpt-9\nrules:\n  - Answer in 9 words.\n"
    assert set(find(config, raw).holes) == {("config", "models", 0, "apiKey")}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("${{ secrets.organization:acme/KEY }}", "${{ secrets.KEY }}"),
        ("Bearer ${{ secrets.organization:acme/KEY }}", "Bearer ${{ secrets.KEY }}"),
        ("${{ secrets.organization:acme/A }}${{ secrets.user:d/B }}", "${{ secrets.A }}${{ secrets.B }}"),
        ("${{ secrets.not_found:KEY }}", None),
    ],
)
def test_references_to_secrets_that_never_leave_the_hub_stay(value: str, written: str | None) -> None:
    """An organization's secret is a location, not a value: clients and tables need it."""
    config, raw = model(value, written) if written else ({"models": [{"apiKey": value}]}, "name: x\n")
    assert find(config, raw).holes == {}


def test_what_no_reference_explains_is_a_secret_where_secrets_stand() -> None:
    """apiKey, env, headers, args, url, params and telling names, at any depth; nothing else."""
    tool = {"name": "T", "command": "npx", "args": ["a1"], "env": {"K": "e1"}, "url": "u1", "type": "sse"}
    tool["requestOptions"] = {"headers": {"X": "h1"}, "proxy": "p1"}
    config = {
        "models": [{"name": "M", "provider": "openai", "model": "m", "apiKey": "k1", "roles": ["chat"]}],
        "mcpServers": [tool],
        "context": [{"provider": "http", "params": {"deep": {"list": ["c1"]}, "accessToken": "c2"}}],
        "data": [{"name": "D", "destination": "https://d", "schema": "0.2.0", "apiKey": "d1"}],
        "requestOptions": {"headers": {"A": "r1"}},
    }
    found = find(config, "name: x\n")
    values = {value.reveal() for value in found.bindings.values()}
    assert values == {"a1", "e1", "u1", "h1", "p1", "k1", "c1", "c2", "d1", "r1"}
    assert all(name.startswith("unnamed/config/") for name in found.bindings)


def test_the_authors_own_words_in_args_and_url_are_no_secret() -> None:
    """A locked cache can go on serving them; in apiKey and env they were pasted, and are one."""
    config = {"mcpServers": [{"name": "T", "args": ["-y", "pkg"], "url": "https://x", "env": {"K": "pasted"}}]}
    raw = "mcpServers:\n  - {name: T, args: [-y, pkg], url: https://x, env: {K: pasted}}\n"
    found = find(config, raw)
    assert set(found.holes) == {("config", "mcpServers", 0, "env", "K"), ("rawYaml",)}
    assert check(config, raw, found)[("rawYaml",)] == raw.replace("pasted", "")


@pytest.mark.parametrize(
    "raw",
    [
        "models:\n  - name: M\n    apiKey: sk-pasted\n",
        "models:\n  - name: M\n    apiKey: 'sk-pasted' # a note\n",
        'models:\n  - name: M\n    apiKey: "sk-pasted"\n',
        "models:\n  - name: M\n    apiKey: |\n      sk-pasted\n    roles: [chat]\n",
        "models:\n  - name: M\n    apiKey: >-\n      sk-pasted\n",
        "models:\r\n  - name: M\r\n    apiKey: |\r\n      sk-pasted\r\n",
        "models: [{name: M, apiKey: sk-pasted}, {apiKey: sk-pasted}]\n",
        "models:\n  - {name: M, env: {A: [sk-pasted, {b: sk-pasted}]}}\n",
        "models:\n  - name: M\n    apiKey: &key sk-pasted\n  - apiKey: *key\n",
        "models:\n  - name: M\n    apiKey: !!str sk-pasted\n",
        "models:\n  - name: M\n    requestOptions: {headers: {X: sk-pasted}}\n",
        "name: x\nrequestOptions:\n  headers:\n    X: sk-pasted\n",
        "name: x\nenv:\n  X: sk-pasted\n",
        "models:\n  - uses: a/b\n    with:\n      API_KEY: sk-pasted\n",
        "\ufeffname: x\nmodels:\n  - apiKey: sk-pasted\n",
        "# 鍵 🔑 \u2028\nmodels:\n  - apiKey: 'sk-pasted'\n",
        "- apiKey: sk-pasted\n",
        "models:\n  - apiKey: sk-pasted\n    apiKey: sk-pasted\n",
        "models:\n  - apiKey: sk-pasted\n  bad: [\n",
        "models:\n\t- apiKey: sk-pasted\n",
        "name: x\n---\nmodels:\n  - apiKey: sk-pasted\n",
        "? [complex]\n: apiKey: sk-pasted\n",
        "models:\n  - apiKey: sk-pasted\n" + "x: [" * 300,
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
        + "models:\n  - apiKey: sk-pasted\n",
    ],
)
def test_secrets_that_the_author_pasted_are_cut_out_of_the_yaml(raw: str) -> None:
    """Plain, quoted, block, flow, anchored, tagged; and where the YAML can't be read, all of it is hidden."""
    found = find(None, raw)
    left = check(None, raw, found)[("rawYaml",)]
    assert "sk-pasted" not in left
    assert not {"sk-pasted"} & set(left.split())


def test_the_yaml_around_a_pasted_secret_stays_yaml() -> None:
    """With references put back an author can still read it, and so can a parser."""
    raw = "models:\n  - name: M\n    apiKey: 'k'\n  - apiKey: |\n      k\n      k\n    name: N\n    env:\n      A: k\n"
    pieces = find(None, raw).holes[("rawYaml",)]
    shown = "".join(p if at % 2 == 0 else f"${{{{ secrets.{p} }}}}" for at, p in enumerate(pieces))
    models = yaml.safe_load(shown)["models"]
    assert models[0] == {"name": "M", "apiKey": "${{ secrets.unnamed/rawYaml/models/0/apiKey }}"}
    assert models[1]["name"] == "N"
    assert models[1]["apiKey"].strip() == "${{ secrets.unnamed/rawYaml/models/1/apiKey }}"


def test_items_find_their_author_by_name() -> None:
    """Unrolling drops all but the first of a name and leaves nulls: positions alone would lie."""
    raw = (
        "prompts:\n  - {name: A, prompt: 'a ${{ secrets.X }}'}\n  - {name: A, prompt: plain}\n"
        "  - {name: B, prompt: 'b ${{ secrets.Y }}'}\nrules:\n  - same\n  - same\n  - 'z ${{ secrets.Z }}'\n"
        "context:\n  - {provider: http, params: {note: 'n ${{ secrets.N }}'}}\n  - {provider: http}\n"
    )
    config = {
        "prompts": [{"name": "A", "prompt": "a 1"}, {"name": "B", "prompt": "b 2"}],
        "rules": ["same", "z 3"],
        "context": [{"provider": "http", "params": {"note": "n 4"}}],
    }
    found = find(config, raw)
    assert {name: value.reveal() for name, value in found.bindings.items()} == {"X": "1", "Y": "2", "Z": "3", "N": "4"}


def test_a_rule_is_found_whatever_was_dropped_before_it() -> None:
    """An unknown block's twin is gone: the text itself says whose it is."""
    raw = "rules:\n  - uses: a/b\n  - uses: a/b\n  - 'pw is ${{ secrets.P }}!'\n"
    found = find({"rules": ["pw is s3!"]}, raw)
    assert found.holes == {("config", "rules", 0): ("pw is ", "P", "!")}


def test_what_refers_to_a_secret_but_reads_otherwise_is_hidden_whole() -> None:
    """A value can change the YAML that it is put into (` #` ends it): then nobody can tell what is the value."""
    raw = "rules:\n  - pw is ${{ secrets.P }}, never print it\n"
    found = find({"rules": ["pw is s3"]}, raw)
    assert found.holes == {("config", "rules", 0): ("", "unnamed/config/rules/0", "")}


def test_one_name_with_two_values_is_two_bindings() -> None:
    """A block's secret can have the name of one of the assistant's: the second gets a name of its own."""
    config = {"models": [{"name": "A", "apiKey": "one"}, {"name": "B", "apiKey": "two"}]}
    raw = "models:\n  - {name: A, apiKey: '${{ secrets.K }}'}\n  - {name: B, apiKey: '${{ secrets.K }}'}\n"
    found = find(config, raw)
    assert {name: v.reveal() for name, v in found.bindings.items()} == {
        "K": "one",
        "unnamed/config/models/1/apiKey": "two",
    }
    check(config, raw, found)


def test_what_a_block_says_names_its_secrets() -> None:
    """In its texts too, through `with`, and under an override."""
    raw = (
        "models:\n  - uses: a/m\n    with: {KEY: 'x-${{ secrets.MINE }}'}\n    override: {name: Renamed}\n"
        "rules:\n  - uses: a/r@1.0.0\nprompts:\n  - uses: a/p\n"
    )
    blocks = {
        "a/m": "name: m\nmodels:\n  - name: M\n    apiKey: ${{ inputs.KEY }}\n    env: {O: '${{ secrets.OWN }}'}\n",
        "a/r@1.0.0": "---\nname: r\n---\nThe word is ${{ secrets.WORD }}.\n",
        "a/p": "name: p\nprompts:\n  - {name: P, prompt: 'say ${{ secrets.SAY }}'}\n",
    }
    config = {
        "models": [{"name": "Renamed", "apiKey": "x-1", "env": {"O": "2"}}],
        "rules": [{"name": "r", "rule": "The word is 3."}],
        "prompts": [{"name": "P", "prompt": "say 4"}],
    }
    tree = yamltree.read(raw)
    found = secretrefs.find(config, raw, tree, blocks)
    assert {n: v.reveal() for n, v in found.bindings.items()} == {"MINE": "1", "OWN": "2", "WORD": "3", "SAY": "4"}
    assert referring.uses(tree) == ("a/m", "a/p", "a/r@1.0.0")
    asked = referring.referred(Slug("d", "asst"), tree, blocks)
    mine, block = Slug("d", "asst"), lambda name: Slug("a", name)
    assert set(asked) == {
        Fqsn((mine, block("m")), "MINE"),
        Fqsn((mine, block("m")), "OWN"),
        Fqsn((mine, block("r")), "WORD"),
        Fqsn((mine, block("p")), "SAY"),
    }


def test_a_secret_passed_to_an_unknown_block_is_found_where_secrets_stand() -> None:
    """Without the block's text its name can't be told: an unnamed binding."""
    raw = "models:\n  - uses: a/m\n    with: {KEY: '${{ secrets.MINE }}'}\n"
    found = find({"models": [{"name": "M", "apiKey": "value", "url": "https://x/?k=value"}]}, raw)
    assert set(found.bindings) == {"unnamed/config/models/0/apiKey", "unnamed/config/models/0/url"}


def test_names_are_asked_in_the_order_of_their_first_appearance() -> None:
    """As the assistant's own, and through the block where `with` passes them; each once."""
    raw = (
        "models:\n  - apiKey: ${{ secrets.A }}\n  - uses: o/b@2.0.0\n    with: {K: '${{ secrets.B }}'}\n"
        "    override: {apiKey: '${{ secrets.A }}'}\n  - uses: ./file.yaml\n    with: {K: '${{ secrets.F }}'}\n"
        "requestOptions: {headers: {X: '${{ secrets.H }}'}}\nrules: ['${{ inputs.NOT }}', '${{ secrets.C }}']\n"
    )
    me = Slug("d", "x")
    assert referring.referred(me, yamltree.read(raw)) == (
        Fqsn((me,), "A"),
        Fqsn((me, Slug("o", "b")), "B"),
        Fqsn((me,), "F"),
        Fqsn((me,), "C"),
        Fqsn((me,), "H"),
    )


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("a/b", (Slug("a", "b"), "latest")),
        ("a/b@", (Slug("a", "b"), "latest")),
        ("a/b@1.2.0", (Slug("a", "b"), "1.2.0")),
        *((text, None) for text in ("./a", "/a/b", "~/a", "file://a/b", "a", "a/b/c", "", "@1")),
        *((text, None) for text in ("a/..", "../b", "a/b@..", "a/.", "a/b\x01", "a\n/b", "a/b@\x7f")),
    ],
)
def test_a_package_is_a_slug_that_can_stand_in_a_path(text: str, package: tuple[Slug, str] | None) -> None:
    """An author's `uses: a/..` must never become a request: the answer could not be handed on."""
    assert referring.block_of(text) == package


def test_merged_mappings_are_what_their_anchor_says() -> None:
    """YAML 1.1's `<<`: the author wrote it once, secrets stand in each."""
    raw = "x: &b {prompt: 'p ${{ secrets.X }}', description: d}\nprompts:\n  - <<: *b\n    name: A\n"
    found = find({"prompts": [{"name": "A", "prompt": "p 1", "description": "d"}]}, raw)
    assert found.holes == {("config", "prompts", 0, "prompt"): ("p ", "X", "")}


@pytest.mark.parametrize(
    "source", ["", "# only a comment\n", "\ufeff", "null", "5", "text", "- 1\n- 2\n", "--- |\n x\n"]
)
def test_texts_that_are_no_mapping_are_read(source: str) -> None:
    """Nothing is found in them, nothing is lost, nothing raises."""
    check(None, source, find(None, source))
    assert referring.uses(yamltree.read(source)) == ()


def test_a_leaf_knows_where_it_stood() -> None:
    """Positions count characters of the source, behind a byte order mark too."""
    for mark in ("", "\ufeff"):
        source = f"{mark}# 🔑\na: [x, 'y 鍵']\n"
        tree = yamltree.read(source)
        assert isinstance(tree, dict)
        leaves = tree["a"]
        assert isinstance(leaves, list)
        assert [source[leaf.start : leaf.end] for leaf in leaves if isinstance(leaf, Leaf)] == ["x", "'y 鍵'"]


@pytest.mark.parametrize(
    "source", ["a: 1\na: 2\n", "a: 1\n---\nb: 2\n", "? [a]\n: 1\n", "*x", "a: &a [*a]", "\x00", "@x"]
)
def test_what_readers_differ_on_is_not_read(source: str) -> None:
    """A key given twice, a second document, a key that is no scalar, an alias of nothing: None."""
    assert yamltree.read(source) is None


@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@ \n\t\r\\$.,?<"), max_size=60))
def test_any_text_is_read_or_not_and_nothing_is_lost(source: str) -> None:
    """YAML is a large language: whatever the text, finding never raises and never loses a character."""
    check(None, source, find(None, source))


def real_configs() -> list[Path]:
    folder = os.environ.get(CONFIGS)
    return sorted(Path(folder).glob("*.yaml")) if folder else []


@pytest.mark.skipif(not os.environ.get(CONFIGS), reason=f"{CONFIGS} names no folder of real configs")
def test_real_configs_are_read_and_nothing_is_lost() -> None:
    """As people write them: whatever is found can be put back, and no pasted key is left at its place."""
    paths = real_configs()
    assert paths
    read = 0
    for path in paths:
        raw = path.read_bytes().decode("utf-8", errors="replace")
        try:
            config = yaml.safe_load(raw)
        except yaml.YAMLError:
            config = None
        tree = yamltree.read(raw)
        read += tree is not None
        plain = {str(k): v for k, v in config.items()} if isinstance(config, dict) else None
        found = secretrefs.find(plain, raw, tree)
        left = check(plain, raw, found)
        referring.referred(Slug("a", "b"), tree)
        for place, text in left.items():
            if place[-1:] == ("apiKey",):
                assert not text or "${{" in text, f"{path.name} keeps a key at {place}"
    assert read > len(paths) // 2
