"""Agent Skills pass the published format's checks, whatever the Hub's names are, and hold its texts to the letter."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import click
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skills_ref import read_properties, validate
from tests.test_readme import options

from hublet.cli.main import cli
from hublet.core.instructions import Instruction
from hublet.core.questions import Slug
from hublet.export.files import write_files
from hublet.export.skills import Taught, laid_out, skill_name

PART = st.text(min_size=1, max_size=80).filter(lambda text: "/" not in text)
SLUG = st.builds(Slug, PART, PART)
LINES = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)
FOUND = st.lists(st.builds(Instruction, st.sampled_from(["rule", "prompt"]), LINES, LINES, LINES, LINES), max_size=5)
TAUGHT = st.builds(Taught, SLUG, st.just("") | PART, st.text(min_size=1, max_size=100), FOUND.map(tuple) | st.none())


def checked(files: dict[str, str]) -> dict[str, str]:
    """The same files, on which the reference validator of the format has found nothing, nor have rules that it leaves
    out: lengths that are only recommended, links that lead nowhere."""
    with tempfile.TemporaryDirectory() as place:
        write_files(Path(place, "out"), files)
        for folder in sorted(path for path in Path(place, "out").iterdir() if path.is_dir()):
            assert validate(folder) == []
            properties = read_properties(folder)
            assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", properties.name)
            assert properties.name == folder.name
            assert 1 <= len(properties.description) <= 1024
            text = (folder / "SKILL.md").read_bytes().decode()
            head = yaml.safe_load(text.split("---", 2)[1])
            assert head == {"name": properties.name, "description": properties.description}
            assert text.count("\n") < 500
            assert len(text.encode()) < 20_000, "about 5000 tokens"
            linked = set(re.findall(r"^- \[(references/[a-z]+-\d+\.md)\]\(\1\): .+$", text, re.MULTILINE))
            assert linked == {f"references/{path.name}" for path in folder.glob("references/*")}
    return files


def all_of(files: dict[str, str], name: str) -> str:
    return "\n".join(text for path, text in files.items() if path.startswith(f"{name}/"))


def taught(slug: str, *found: Instruction, place: str = "", title: str = "Dev") -> Taught:
    return Taught(Slug.parse(slug), place, title, found)


@settings(deadline=None, max_examples=60)  # files are written, and flushed
@given(st.lists(TAUGHT, max_size=5, unique_by=lambda one: (one.slug, one.place)))
@example(
    [Taught(Slug("---", "\u202e"), "", "---\nname: x", (Instruction("rule", "---", "---\n# x", "<b>: '\"", "#"),))]
)
@example([Taught(Slug("a", "b"), "", "yes", (Instruction("prompt", "null", "x" * 40_000),))])
def test_any_assistants_are_valid_skills_with_their_words_to_the_letter(assistants: list[Taught]) -> None:
    files = checked(laid_out(assistants))
    loaded = [one for one in assistants if one.found is not None]
    assert len({path.partition("/")[0] for path in files}) == len(loaded) + 1
    assert laid_out(assistants[::-1]) == files, "whatever order they come in"
    whole = "\n".join(files.values())
    assert all(each.text in whole for one in loaded for each in one.found or ())


def test_a_skill_has_rules_and_then_prompts() -> None:
    one = taught(
        "acme/dev", Instruction("prompt", "Plan", "Plan it.", "Before coding"), Instruction("rule", "", "Be kind.")
    )
    text = checked(laid_out([one]))["acme-dev/SKILL.md"]
    assert text == (
        "---\n"
        "name: acme-dev\n"
        'description: "Rules and prompts of the assistant Dev (acme/dev). Use when the user asks for Dev, or for what '
        'these are about. Rules: Be kind. Prompts: Plan."\n'
        "---\n\n"
        "# Dev\n\n"
        "The rules and prompts of the assistant acme/dev, written by `hublet export`.\n"
        "Follow the rules; take a prompt when it is asked for by its name.\n\n"
        "## Rules\n\n### Be kind.\n\nBe kind.\n\n"
        "## Prompts\n\n### Plan\n\nBefore coding\n\nPlan it.\n"
    )


def test_names_that_could_be_two_assistants_are_told_apart_whoever_else_there_is() -> None:
    one, two = taught("a/b-c", Instruction("rule", "", "one")), taught("a-b/c", Instruction("rule", "", "two"))
    files = checked(laid_out([one, two]))
    names = {path.partition("/")[0]: text for path, text in files.items()}
    assert "one" in names.pop("a-b-c")
    (other,) = names.keys() - {"hublet"}
    assert re.fullmatch("a-b-c-[0-9a-f]{8}", other)
    assert "two" in names[other]
    assert laid_out([two])[f"{other}/SKILL.md"] == names[other]


@pytest.mark.parametrize(
    ("slug", "place", "name"),
    [
        ("acme/dev", "", "acme-dev"),
        ("acme/dev", "initech", "acme-dev-initech-????????"),
        ("Acme/dev", "", "acme-dev-????????"),
        ("acme/dev--x", "", "acme-dev-x-????????"),
        ("多语/言", "", "????????"),
        ("hublet/🏭", "", "hublet-????????"),
        (f"a/{'b' * 62}", "", f"a-{'b' * 62}"),
        (f"a/{'b' * 63}", "", f"a-{'b' * 53}-????????"),
    ],
)
def test_a_name_is_as_near_to_the_slug_as_can_be(slug: str, place: str, name: str) -> None:
    found = skill_name(Slug.parse(slug), place)
    assert re.fullmatch(name.replace("?" * 8, "[0-9a-f]{8}"), found)
    assert len(found) <= 64


def test_a_name_that_was_made_to_look_like_anothers_gets_none() -> None:
    """Whoever can choose a package's name can choose one that ends like a hash."""
    honest = skill_name(Slug("a-b", "c"))
    files = checked(laid_out([taught("a-b/c", Instruction("rule", "", "x")), taught(f"a/{honest[2:]}")]))
    assert len({path.partition("/")[0] for path in files}) == 3


@pytest.mark.parametrize(("count", "size"), [(104, 180), (3, 30_000), (5000, 300), (12, 6000)])
def test_what_is_too_long_for_the_body_is_linked(count: int, size: int) -> None:
    """Nothing is left out, and the body stays within what the format recommends."""
    found = [Instruction("rule", f"Rule {n} 🏭🏭🏭🏭🏭🏭🏭🏭", f"{n}: " + "word " * (size // 5)) for n in range(count)]
    found += [Instruction("prompt", "Last", "the last one")]
    files = checked(laid_out([taught("acme/big", *found)]))
    whole = all_of(files, "acme-big")
    assert all(each.text in whole for each in found)
    assert any("references/rules-1.md" in path for path in files)


def test_hublets_own_skill_names_commands_that_there_are() -> None:
    text = checked(laid_out([]))["hublet/SKILL.md"]
    context = click.Context(cli)
    spoken = re.findall(r"`hublet ([a-z]+)((?: --[a-z]+)*)[^`]*`", text)
    assert {name for name, _ in spoken} >= {"status", "show", "log", "diff", "doctor", "mcp", "service"}
    for name, words in spoken:
        command = cli.get_command(context, name)
        assert command is not None, name
        assert set(words.split()) <= options(command)
