"""Which file holds what: the same bytes every time, in the folder whatever a slug says, and no comment can be YAML."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.envfile import dump_env, quoted
from hublet.core.leaving import Leaving, Part, Variable
from hublet.core.questions import Slug
from hublet.core.secretstr import SecretStr
from hublet.export.layout import Assistant, file_name, laid_out, text_of
from hublet.host.override import read_env_file

KEY = Variable("KEY", SecretStr("canary"))
CONFIG: dict[str, object] = {"name": "Dev", "version": "1.0.0", "schema": "v1", "k": "Bearer ${{ secrets.KEY }}"}


def assistant(slug: str = "acme/dev", place: str = "", left: Leaving | None = None) -> Assistant:
    return Assistant(Slug.parse(slug), place, "https://hub", "abc", left or Leaving(CONFIG, (KEY,)))


def test_a_file_an_assistant_beside_the_chosen_one() -> None:
    files = laid_out([assistant(), assistant("acme/ops"), assistant(place="initech")], "agents", Slug("acme", "ops"))
    assert list(files) == [
        "agents/acme.dev.yaml", "agents/acme.ops.yaml", "agents/acme.dev.initech.yaml", "config.yaml",
    ]  # fmt: skip
    assert files["config.yaml"] == files["agents/acme.ops.yaml"]


def test_the_first_is_the_default_and_an_unknown_one_is_refused() -> None:
    assert list(laid_out([assistant()], "single", None)) == ["config.yaml"]
    assert laid_out([], "single", None) == {}
    with pytest.raises(KeyError):
        laid_out([assistant()], "single", Slug("no", "body"))


def test_values_stand_in_the_files_only_when_they_are_asked_for() -> None:
    assert "canary" not in text_of(assistant())
    assert yaml.safe_load(text_of(assistant(), inline=True))["k"] == "Bearer canary"


def test_what_is_lacking_is_said_in_comments() -> None:
    left = Leaving(CONFIG, (), (Part("models", "M", "needs a key", "KEY (ask)"),), ("a block is gone",))
    text = text_of(assistant(left=left))
    assert "# models M: needs KEY (ask)\n" in text
    assert "# the Hub said: a block is gone\n" in text


@given(st.text(), st.text(), st.text())
def test_no_comment_can_become_yaml(name: str, why: str, note: str) -> None:
    parts = (Part("models", name, "needs a key", why), Part("models", name, "can't work", why))
    text = text_of(assistant(left=Leaving(CONFIG, (), parts, (note,))))
    assert yaml.safe_load(text) == CONFIG
    assert all(line.startswith("#") or ":" in line for line in text.splitlines())


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_a_name_stays_in_its_folder_and_no_two_slugs_share_one(a: str, b: str, c: str, d: str) -> None:
    one, two = file_name(Slug(a, b)), file_name(Slug(c, d))
    assert one.isascii()
    assert not set(one) & set('/\\\0:*?"<>| ')
    assert not one.startswith(".")
    assert one == one.lower()
    assert len(one) < 240
    assert (one == two) == ((a, b) == (c, d))


def test_hostile_slugs_are_only_names() -> None:
    assert file_name(Slug("..", "../../etc/passwd")) == "_2e_2e._2e_2e_2f_2e_2e_2fetc_2fpasswd"
    assert file_name(Slug("A.b", "C")) == "_41_2eb._43"


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text(max_size=20), max_size=5))
def test_an_env_file_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    text, left = dump_env({name: SecretStr(value) for name, value in values.items()}, "a heading\nof two lines")
    path = tmp_path_factory.mktemp("env") / ".env"
    path.touch(mode=0o600)
    path.write_text(text, newline="")
    read = {name: value.reveal() for name, value in read_env_file(path).items()}
    assert read == {name: value for name, value in values.items() if name not in left}


@pytest.mark.parametrize("value", ["", "sk-abc", "a b", "a'b", 'a"b', "#", "a\nb", "$HOME", "back\\slash", "key=1"])
def test_usual_values_can_be_written(value: str) -> None:
    assert quoted(value) is not None
