"""`hublet schema`: what it prints, and what it says of what it does not know."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from hublet.cli.main import cli
from hublet.describe.document import document, names


def run(*words: str) -> str:
    done = CliRunner().invoke(cli, ["schema", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_names_are_listed() -> None:
    """One line each, with what it is."""
    listed = [line.split(maxsplit=1) for line in run().splitlines()]
    assert [name for name, _ in listed] == [*names(), "openapi"]
    assert all(title for _, title in listed)


@pytest.mark.parametrize("name", names())
def test_a_schema_takes_its_sample(name: str) -> None:
    """As printed, without anything else at hand."""
    Draft202012Validator(json.loads(run(name))).validate(json.loads(run(name, "--sample")))


def test_the_document_is_printed() -> None:
    assert json.loads(run("openapi")) == json.loads(json.dumps(document()))


def test_letters_case_does_not_matter() -> None:
    assert run("secretresult") == run("SecretResult")


@pytest.mark.parametrize("words", [["Nothing"], ["openapi", "--sample"], ["--sample"]])
def test_what_makes_no_sense_is_an_error_of_usage(words: list[str]) -> None:
    done = CliRunner().invoke(cli, ["schema", *words])
    assert done.exit_code == 2
    assert "Error: " in done.output
