"""Exporting assistants as Agent Skills, a folder for each: pure functions from rules and prompts to texts by path.

    NAME/SKILL.md               name and description in front matter, rules and prompts as the body
    NAME/references/rules-1.md  the rest, when the body would get longer than the format recommends; linked from it
    hublet/SKILL.md             how to ask hublet itself

No secret value is in any of them. The format is that of agentskills.io/specification: a name has 1 to 64 small letters,
digits and single hyphens and is also the name of the folder; a description has 1 to 1024 characters; a body should have
less than 500 lines and 5000 tokens. The reference reader takes the first `---` after the beginning for the end of the
front matter, so the front matter must not contain one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

import orjson

from hublet.core import yamlwrite
from hublet.core.instructions import Instruction, instructions, one_line
from hublet.core.questions import Slug
from hublet.core.records import Content, View, render
from hublet.core.values import dataclass

LONGEST_NAME, LONGEST_DESCRIPTION = 64, 1024
_BODY_LINES, _BODY_BYTES = 400, 14_000
"""How many lines and bytes of instructions a body holds. At four bytes a token, and with links added, that stays well
within the recommendation."""
_MOST_LINKS = 40
_OTHERS = re.compile(r"[^a-z0-9]+")
_HEADINGS = {"rule": "Rules", "prompt": "Prompts"}


@dataclass(frozen=True, slots=True)
class Taught:
    """An assistant's rules and prompts. `place` is the slug of the organization whose variant it is, empty for the
    personal scope. `found` is None when the Hub could not load the assistant."""

    slug: Slug
    place: str
    title: str
    found: tuple[Instruction, ...] | None


def taught(slug: Slug, place: str, content: Content) -> Taught:
    """The rules and prompts of an assistant, with references in place of secret values."""
    value = orjson.loads(render(content.template, {}, View(False, lambda url: url)))
    result = value.get("configResult") if isinstance(value, dict) else None
    config = result.get("config") if isinstance(result, dict) else None
    title = one_line(content.traits.get("title"), 100) or one_line(str(slug), 100)
    return Taught(slug, place, title, instructions(config) if isinstance(config, dict) else None)


def laid_out(assistants: Iterable[Taught]) -> dict[str, str]:
    """Texts by relative path: a skill for each assistant that could be loaded, and hublet's own."""
    files = {"hublet/SKILL.md": _HUBLET}
    taken = {"hublet"}
    for one in sorted(assistants, key=lambda one: (str(one.slug), one.place)):
        if one.found is not None:
            name = _free(one.slug, one.place, taken)
            taken.add(name)
            files |= {f"{name}/{path}": text for path, text in _skill(one, name).items()}
    return dict(sorted(files.items()))


# Names


def skill_name(slug: Slug, place: str = "", digits: int = 8) -> str:
    """The name of an assistant's skill: `owner-package` where no other assistant can have the same; else with the first
    `digits` digits of a hash appended. So it does not depend on which other assistants there are."""
    words = [_OTHERS.sub("-", part.lower()).strip("-") for part in (slug.owner, slug.package, place) if part]
    plain = "-".join(word for word in words if word)
    same = not place and words == [slug.owner, slug.package]
    if same and "-" not in slug.owner and len(plain) <= LONGEST_NAME and digits == 8:
        return plain  # the first hyphen stands for the slash
    text = "\0".join((slug.owner, slug.package, place)).encode("utf-8", "replace")
    mark = hashlib.sha256(text).hexdigest()[:digits]
    begin = plain[: LONGEST_NAME - 1 - digits].strip("-")
    return f"{begin}-{mark}" if begin else mark


def _free(slug: Slug, place: str, taken: set[str]) -> str:
    """A name that is not taken. A longer hash may be needed: somebody can choose a name that ends like a hash."""
    return next(name for digits in (8, 16, 24, 32, 48) if (name := skill_name(slug, place, digits)) not in taken)


# Texts


def _skill(one: Taught, name: str) -> dict[str, str]:
    """The files of one skill by their path in its folder."""
    # Rules come first: they hold for everything that is done.
    found = sorted(one.found or (), key=lambda each: each.kind != "rule")
    inside, files = _divided(found)
    lines = [f"# {one.title}", "", f"The rules and prompts of the assistant {_who(one)}, written by `hublet export`."]
    lines += ["Follow the rules; take a prompt when it is asked for by its name.", ""]
    if not found:
        lines += ["It has neither rules nor prompts.", ""]
    for kind, heading in _HEADINGS.items():
        mine, links = [p for p in inside if p.kind == kind], [file for file in files if file.kind == kind]
        if mine or links:
            lines += [f"## {heading}", ""]
        lines += [_section(each) for each in mine]
        lines += [f"- [{file.path}]({file.path}): {file.about}" for file in links]
        lines += [""] if links else []
    matter = {"name": name, "description": _description(one, found)}
    head = "".join(f"{key}: {yamlwrite.scalar(value)}\n" for key, value in matter.items())
    skill = f"---\n{head}---\n\n" + "\n".join(lines)
    return {"SKILL.md": skill} | {file.path: file.text for file in files}


def _section(each: Instruction) -> str:
    """An instruction: heading, notes, its text unchanged, and an empty line."""
    notes = (one_line(each.description, 300), f"For {one_line(each.when, 300)}." if each.when else "")
    about = "".join(f"{note}\n\n" for note in notes if note)
    return f"### {_called(each)}\n\n{about}{each.text}\n"


def _who(one: Taught) -> str:
    return one_line(str(one.slug), 200) + (f", as {one_line(one.place, 60)} has it" if one.place else "")


def _called(each: Instruction) -> str:
    return one_line(each.name, 100) or one_line(each.text, 60) or each.kind


def _description(one: Taught, found: list[Instruction]) -> str:
    """What the skill does and when to use it, with the names of its rules and prompts: one line for the front
    matter."""
    parts = [
        f"Rules and prompts of the assistant {one.title} ({_who(one)}).",
        f"Use when the user asks for {one.title}, or for what these are about.",
    ]
    for kind, heading in _HEADINGS.items():
        if names := [_called(each).rstrip(".") for each in found if each.kind == kind][:40]:
            parts.append(f"{heading}: {', '.join(names)}.")
    text = re.sub("-{3,}", "--", one_line(" ".join(parts), LONGEST_DESCRIPTION))
    # It becomes a part of a model's instructions, where angle brackets could be taken for tags.
    return text.replace("<", "(").replace(">", ")")


@dataclass(frozen=True, slots=True)
class _File:
    kind: str
    path: str
    about: str
    text: str


def _divided(found: list[Instruction]) -> tuple[list[Instruction], list[_File]]:
    """The instructions for the body, and files for the others. If all fit into the body there are no files; else the
    body is filled by half, so that the links have room."""
    if _fits(found, 1):
        return found, []
    inside: list[Instruction] = []
    for each in found:
        if not _fits([*inside, each], 2):
            break
        inside.append(each)
    rest = found[len(inside) :]
    # Large enough that there are at most _MOST_LINKS files: two neighbouring files together are larger than `size`.
    size = max(_BODY_BYTES, 2 * sum(map(_size, rest)) // _MOST_LINKS)
    files = []
    for kind in _HEADINGS:
        for number, pack in enumerate(_packed([each for each in rest if each.kind == kind], size), 1):
            names = [_called(each) for each in pack]
            about = names[0][:50] if len(names) == 1 else f"{len(names)}, {names[0][:25]} to {names[-1][:25]}"
            text = "\n".join(_section(each) for each in pack)
            files.append(_File(kind, f"references/{kind}s-{number}.md", about, text))
    return inside, files


def _fits(found: list[Instruction], parts: int) -> bool:
    return (
        sum(map(_size, found)) <= _BODY_BYTES // parts
        and sum(_section(each).count("\n") + 1 for each in found) <= _BODY_LINES // parts
    )


def _size(each: Instruction) -> int:
    return len(_section(each).encode("utf-8", "replace"))


def _packed(found: list[Instruction], size: int) -> Iterator[list[Instruction]]:
    """The instructions in order, in packs of at most `size` bytes. One that is larger gets a pack of its own."""
    pack: list[Instruction] = []
    taken = 0
    for each in found:
        if pack and taken + _size(each) > size:
            yield pack
            pack, taken = [], 0
        pack.append(each)
        taken += _size(each)
    if pack:
        yield pack


_HUBLET = """\
---
name: hublet
description: >-
  Asks hublet, the local cache of the user's Continue Hub assistants, for an assistant, its rules and prompts, the
  policy, or whether the Hub answers. Use when the user mentions Continue assistants, the Continue Hub, hublet, or an
  assistant of the form owner/package.
---

# Asking hublet

hublet keeps the user's Continue Hub assistants on this machine and answers also while the Hub is away. What is below
only reads. Leave all that changes something (`hublet login`, `hublet lock`, `hublet pin`, `hublet forget` and others)
to the user.

## Commands

- `hublet status --json`: state, each scope's assistants by `slug`, their age and grade, the last error, the API's
  `port`.
- `hublet show OWNER/PACKAGE`: one assistant as unrolled YAML, with its models, rules, prompts and tools; references
  such as `${{ secrets.NAME }}` stand in place of secret values.
- `hublet log OWNER/PACKAGE`, `hublet show OWNER/PACKAGE@previous`, `hublet diff OWNER/PACKAGE`: what it was before.
- `hublet show policy`: the policy of the user's organization.
- `hublet doctor`: what is wrong, and what to do about it.

An error is one sentence and a hint on standard error. Exit code 9: no hublet runs; `hublet service start` starts it.

## The local API

On `http://localhost:3001`, unless `port` says otherwise, for the user's own processes without a token:

- `GET /hublet/v1/status`: what `hublet status --json` prints. `GET /hublet/v1/events`: what happens, as it happens.
- `GET /ide/list-assistants`, `GET /ide/get-assistant/OWNER/PACKAGE`: as the Hub answers them. These hold secret values:
  neither print nor pass on what they answer; for reading, `hublet show` is enough.

## MCP

`hublet mcp` offers the same over standard input and output: resources `hublet://OWNER/PACKAGE`, every rule and prompt
as a prompt, and tools: `list_organizations`, `list_assistants`, `get_assistant`, `search_instructions`, `read_policy`
and `read_status`.
"""
