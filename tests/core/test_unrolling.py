"""Unrolling without the original beside it: what it does with blocks, names and secrets, and how it fails.

That it does the same as the original is shown in tests/clients/test_config_yaml.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.packages import File, Package, Source, read_location, source_of
from hublet.core.questions import LATEST, Slug
from hublet.core.shelf import Entry, Shelf, assistant, assistants, problems
from hublet.core.unrolling import NotUsable, Options, Rendering, Text, Unrolled, unroll
from hublet.core.variables import fill, variables

HEAD = "name: A\nversion: 1.0.0\nschema: v1\n"
MODEL = (
    HEAD + "models:\n  - {name: M, provider: p, model: m, apiKey: '${{ secrets.KEY }}', apiBase: '${{ inputs.URL }}'}\n"
)


def unrolled(
    text: str, blocks: Mapping[str, str], shown: Mapping[str, str] | None = None, options: Options | None = None
) -> Unrolled:
    def registry(source: Source) -> Text | None:
        return Text(blocks[str(source)]) if str(source) in blocks else None

    rendering = (
        Rendering(lambda names: {name: shown[name] for name in names if name in shown}) if shown is not None else None
    )
    return unroll(Package("dana", "asst"), Text(text, yaml_only=True), registry, rendering, options or Options())


def test_a_blocks_secret_is_named_by_assistant_and_block() -> None:
    text = (
        HEAD
        + "models:\n  - uses: acme/model\n    with: {URL: 'http://${{ secrets.HOST }}'}\n    override: {model: n}\n"
    )
    (model,) = unrolled(text, {"acme/model": MODEL}).config["models"]
    assert model["apiKey"] == "${{ secrets.dana/asst/acme/model/KEY }}"
    assert model["apiBase"] == "http://${{ secrets.dana/asst/acme/model/HOST }}"
    assert model["model"] == "n"


def test_a_value_stays_a_text_whatever_it_holds() -> None:
    """In YAML text it could become a number, a list or another key."""
    text = HEAD + "models:\n  - {name: M, provider: p, model: m, apiKey: '${{ secrets.K }}'}\n"
    for value in ("012", "a: b", "]\nrules: [x", '"', "${{ secrets.OTHER }}", "x # y"):
        (model,) = unrolled(text, {}, {"dana/asst/K": value}).config["models"]
        assert model["apiKey"] == value or value.startswith("${{")


def test_a_model_whose_key_only_the_hub_has_goes_to_the_proxy() -> None:
    text = HEAD + "models:\n  - {name: M, provider: p, model: m, apiKey: '${{ secrets.K }}'}\n"
    (model,) = unrolled(text, {}, {"dana/asst/K": "${{ secrets.organization:acme/K }}"}).config["models"]
    assert (model["provider"], model["model"]) == ("continue-proxy", "dana/asst/p/m")
    assert model["apiKeyLocation"] == "organization:acme/K"
    assert "apiKey" not in model


def test_what_fails_leaves_a_gap_and_a_sentence() -> None:
    text = HEAD + "models:\n  - uses: acme/gone\n  - uses: acme/model\nrules:\n  - uses: acme/gone\n  - Be kind.\n"
    missing = 'Missing required input(s) for block "acme/model": URL.'
    found = unrolled(text, {"acme/model": MODEL}, {})
    assert found.config["models"] == [None, None]
    assert found.config["rules"] == [None, "Be kind."]
    assert [error["message"] for error in found.errors] == [
        'Block acme/gone not found.\n> "acme/gone"',
        f'{missing} Please provide these values in the "with" block..\n> "acme/model"',
        "Block acme/gone not found:\nacme/gone",
    ]


def test_kept_out_blocks_are_kept_out() -> None:
    text = HEAD + "models:\n  - uses: acme/model\n    with: {URL: x}\n"
    for options in (Options(allowed=frozenset({"acme/other"})), Options(blocked=frozenset({"acme/model"}))):
        found = unrolled(text, {"acme/model": MODEL}, {}, options)
        assert found.config["models"] == [None]
        assert "block listed" in found.errors[0]["message"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name: A", "version: Required"),
        ("version: 1.0.0", "name: Required"),
        (HEAD + "models: null", "models: Expected array, received null"),
        (HEAD + "rules: {a: b}", "rules: Expected array, received object"),
        (HEAD + "models: [{name: x}]", "models.0: Invalid input"),
        (HEAD + "rules: [a\n", "Failed to parse config: "),
        ("", "Expected object, received null"),
        ("- a", "Expected object, received array"),
        (HEAD + "rules: ['${{ secrets.a/b }}']", "Invalid FQSN format"),
    ],
)
def test_a_config_that_cant_be_used_says_why(text: str, why: str) -> None:
    with pytest.raises(NotUsable, match=r".") as caught:
        unrolled(text, {}, {})
    assert why in str(caught.value)


def test_other_braces_and_foreign_keys_do_no_harm() -> None:
    """`${NAME}` and `$NAME` are no references; neither are a prompt's braces."""
    said = "{{{ input }}} ${NAME} $NAME ${{secrets.X}}-${{ secrets.Y }}"
    text = HEAD + f"mine: 1\nprompts:\n  - {{name: p, prompt: '{said}', x: 1}}\n"
    (prompt,) = unrolled(text, {}, {"dana/asst/X": "1"}).config["prompts"]
    assert prompt == {"name": "p", "prompt": "{{{ input }}} ${NAME} $NAME 1-${{ secrets.dana/asst/Y }}"}


@given(
    st.lists(st.sampled_from(["${{", "}}", " ", "secrets.A", "${{ secrets.A }}", "}", "\n", "x"]), max_size=12).map(
        "".join
    )
)
def test_variables_are_found_as_their_pattern_finds_them(text: str) -> None:
    """The linear search gives what the backtracking expression would."""
    import re

    pattern = re.compile(r"\$\{\{\s*([^}\s]+)\s*\}\}")
    assert variables(text) == tuple(dict.fromkeys(pattern.findall(text)))
    assert fill(text, {"secrets.A": "v"}) == pattern.sub(lambda m: "v" if m[1] == "secrets.A" else m[0], text)


def test_looking_for_variables_is_linear() -> None:
    """A quadratic search of this would take minutes."""
    assert variables("${{" * 300_000 + " " * 300_000) == ()


def test_what_uses_may_name() -> None:
    assert source_of("acme/model") == Package("acme", "model", LATEST)
    assert source_of("acme/model@1.2.0") == Package("acme", "model", "1.2.0")
    assert [source_of(text) for text in ("./a", "/a", "~/a", "file:///a")] == [
        File("./a"),
        File("/a"),
        File("~/a"),
        File("/a"),
    ]
    assert read_location("organization:acme/K") == "organization:acme/K"
    assert read_location("acme/asst/K") is None


def shelf(**files: str) -> Shelf:
    """Files of `acme` by their names, `_md` at the end for markdown."""
    return {
        (Slug("acme", name.removesuffix("_md")), LATEST): Entry(text, name.endswith("_md"))
        for name, text in files.items()
    }


def test_a_file_with_one_item_that_another_uses_is_a_block() -> None:
    """One that nobody uses is an assistant with one model, and what is markdown is none."""
    chat = HEAD + "models:\n  - uses: acme/model\n    with: {URL: x}\nrules:\n  - uses: acme/style\n"
    found = shelf(
        chat=chat,
        model=MODEL.replace("${{ inputs.URL }}", "http://x"),
        lone=HEAD + "rules: [a]\n",
        style_md="Be brief.",
    )
    assert [slug.package for slug in assistants(found)] == ["chat", "lone"]
    found = {**found, **shelf(model=MODEL + "rules: [a]\n")}
    assert [slug.package for slug in assistants(found)] == ["chat", "lone", "model"]
    said = assistant(found, Slug("acme", "chat"))
    assert said is not None
    assert said["configResult"]["config"]["models"][0]["apiKey"] == "${{ secrets.KEY }}"
    assert said["configResult"]["config"]["rules"] == [{"name": "style", "rule": "Be brief."}]
    assert assistant(found, Slug("acme", "style")) is None
    assert assistant(found, Slug("acme", "nobody")) is None


def test_each_problem_of_a_folder_is_one_line() -> None:
    found = {**shelf(bad="name: [", gap=HEAD + "rules:\n  - uses: acme/gone\n  - uses: ./file.md\n", good=HEAD)}
    found[Slug("acme", "big"), LATEST] = Entry(problem="the file is larger than 5 bytes")
    told = list(problems(found))
    assert [name for name, _ in told] == ["acme/big", "acme/bad", "acme/gap", "acme/gap"]
    assert not any("\n" in line for _, line in told)
