"""An assistant's rules and prompts, whatever its config holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hublet.core.instructions import Instruction, instructions, one_line

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_prompts_and_rules_are_read_in_order_and_to_the_letter() -> None:
    config = {
        "rules": ["Be kind.\n", None, {"name": "A", "rule": "a", "globs": ["*.py", "*.pyi"], "regex": "^import"}],
        "prompts": [{"name": "P", "description": "D", "prompt": " p "}, {"name": "without a text"}],
    }
    assert instructions(config) == (
        Instruction("prompt", "P", " p ", "D"),
        Instruction("rule", "", "Be kind.\n"),
        Instruction("rule", "A", "a", "", "files *.py, *.pyi; files that hold ^import"),
    )


@given(st.dictionaries(st.sampled_from(["rules", "prompts"]), ANYTHING) | ANYTHING)
def test_any_config_gives_instructions(config: object) -> None:
    assert all(isinstance(each.text, str) for each in instructions(config))


def test_only_simple_places_are_arguments() -> None:
    """A reference to a secret is none, nor is what Continue's templates can do besides."""
    text = '{{{ input }}} {{input}} {{ diff }} ${{ secrets.KEY }} ${{inputs.X}} {{#if x}} {{{{ raw }}}} {{{ url "x" }}}'
    prompt = Instruction("prompt", "p", text)
    assert prompt.arguments == ("input", "diff")
    filled = prompt.filled({"input": "{{ diff }}"})
    assert filled == '{{ diff }} {{ diff }}  ${{ secrets.KEY }} ${{inputs.X}} {{#if x}} {{{{ raw }}}} {{{ url "x" }}}'
    assert Instruction("rule", "r", text).arguments == ()
    assert Instruction("rule", "r", text).filled({"input": "x"}) == text


@given(st.text(), st.text())
def test_a_text_without_places_stays_what_it_is(text: str, value: str) -> None:
    prompt = Instruction("prompt", "", text.replace("{{", "{ {"))
    assert prompt.arguments == ()
    assert prompt.filled({"input": value}) == prompt.text


@given(st.text(), st.integers(1, 50))
def test_a_line_is_one_line_that_no_terminal_obeys(text: str, longest: int) -> None:
    line = one_line(text, longest)
    assert len(line) <= longest
    assert line.isprintable()
    assert line == " ".join(line.split(" ")).strip(" ")
    assert one_line(5, longest) == ""
