"""A folder read as a Hub: what is found in it, what is refused, and that nothing outside of it is read."""

from __future__ import annotations

import asyncio
import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.in_process import in_process, text

from hublet.core import operations as ops
from hublet.core.address import folder_of, parse_hub_url
from hublet.core.outcomes import Answered, Outcome, Refused, Unreachable
from hublet.core.questions import LATEST, PERSONAL, Assistant, Fqsn, Slug
from hublet.core.records import Fact, View, render
from hublet.core.secretstr import SecretStr
from hublet.upstream.folder import LARGEST_FILE, FolderHub, read_folder
from hublet.upstream.order import Hub, Told, Word, WorkOrder
from hublet.upstream.survey import survey

HEAD = "name: A\nversion: 1.0.0\nschema: v1\n"
SECRET = "models:\n  - {name: M, provider: p, model: m, apiKey: 'Bearer ${{ secrets.KEY }}'}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "hub"
    (place / "acme" / "model").mkdir(parents=True)
    (place / "acme" / "chat.yaml").write_text(HEAD + "models:\n  - uses: acme/model@1.0.0\nrules: [Be brief.]\n")
    (place / "acme" / "model" / "1.0.0.yaml").write_text(HEAD + SECRET)
    return place


def problem(folder: Path, name: str) -> str:
    return read_folder(folder, limit=10**7)[Slug("acme", name), LATEST].problem


def whole_pass(folder: Path) -> dict[ops.Operation, Outcome]:
    words: list[Word] = []
    hub = Hub(parse_hub_url(folder.as_uri()), None)
    asyncio.run(survey(WorkOrder(hub), FolderHub(hub), words.append))
    return {word.operation: word.outcome for word in words if isinstance(word, Told)}


def fact(outcome: Outcome, question: object) -> Fact:
    assert isinstance(outcome, Answered)
    return next(fact for fact in outcome.facts if fact.question == question)


def test_a_pass_over_a_folder_brings_what_a_hub_would(folder: Path) -> None:
    """Every question has an answer, and an assistant's secrets are holes that the user's own values can fill."""
    told = whole_pass(folder)
    refused = {operation for operation, outcome in told.items() if not isinstance(outcome, Answered)}
    assert all(isinstance(operation, ops.GetAssistant) for operation in refused)
    content = fact(told[ops.ListAssistants(PERSONAL)], Assistant(PERSONAL, False, Slug("acme", "chat"))).content
    assert dict(content.bindings) == {"KEY": SecretStr("${{ secrets.KEY }}")}
    filled = render(content.template, {"KEY": SecretStr("sk-1")}, View(True, str))
    assert b'"apiKey":"Bearer sk-1"' in filled
    asked = next(operation for operation in told if isinstance(operation, ops.SyncSecrets))
    assert Fqsn((Slug("acme", "chat"), Slug("acme", "model")), "KEY") in asked.fqsns


def test_other_questions_are_refused_as_a_hub_refuses_them(folder: Path) -> None:
    hub = FolderHub(Hub(folder.as_uri(), None))

    def ask(operation: ops.Operation) -> object:
        return asyncio.run(hub.ask(operation))

    assert ask(ops.ListAssistants("org_1")) == Refused(404, "Organization not found")
    assert ask(ops.GetAssistant(PERSONAL, False, Slug("acme", "gone"))) == Refused(404, "Assistant not found")
    assert ask(ops.GetBlock(Slug("acme", "model"), LATEST)) == Refused(404, "Package not found")
    for slug in (Slug("..", "hub"), Slug("acme", "../acme/chat"), Slug("", "etc")):
        assert ask(ops.GetBlock(slug, LATEST)) == Refused(404, "Package not found")
    said = ask(ops.DownloadPackage(Slug("acme", "chat"), LATEST))
    with zipfile.ZipFile(io.BytesIO(said.value)) as archive:  # type: ignore[attr-defined]
        assert archive.namelist() == ["chat.md"]


def test_a_folder_that_is_not_there_is_a_hub_that_is_away(tmp_path: Path) -> None:
    told = whole_pass(tmp_path / "nowhere")
    assert {type(outcome) for outcome in told.values()} == {Unreachable}


def test_nothing_outside_of_the_folder_is_read(folder: Path, tmp_path: Path) -> None:
    """A link within it may be followed; one that leads out, by file or by folder, may not."""
    (tmp_path / "outside.yaml").write_text(HEAD + "rules: [outsider]\n")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "x.yaml").write_text(HEAD)
    (folder / "acme" / "out.yaml").symlink_to(tmp_path / "outside.yaml")
    (folder / "acme" / "in.yaml").symlink_to("chat.yaml")
    (folder / "others").symlink_to(tmp_path / "others")
    assert "leads out of the folder" in problem(folder, "out")
    assert problem(folder, "in") == ""
    shelf = read_folder(folder, limit=10**7)
    assert "leads out of the folder" in shelf[Slug("others", "x"), LATEST].problem
    assert not any("outsider" in entry.text for entry in shelf.values())


def test_what_is_no_text_file_is_a_problem_of_its_own(folder: Path) -> None:
    """A pipe does not hold the pass up, and neither does what is too large."""
    os.mkfifo(folder / "acme" / "pipe.yaml")
    (folder / "acme" / "big.yaml").write_bytes(b"#" * (LARGEST_FILE + 1))
    (folder / "acme" / "latin.yaml").write_bytes(b"name: \xe9\n")
    (folder / "acme" / "dangling.yaml").symlink_to("nowhere.yaml")
    for name, why in {"pipe": "regular", "big": "larger", "latin": "UTF-8", "dangling": "can't be read"}.items():
        assert why in problem(folder, name)
    assert problem(folder, "chat") == ""


def test_the_plain_file_is_the_newest_and_yaml_goes_before_markdown(folder: Path) -> None:
    (folder / "acme" / "chat.md").write_text("Not this.")
    (folder / "acme" / ".hidden.yaml").write_text(HEAD)
    (folder / "acme" / "a b.yaml").write_text(HEAD)
    (folder / ".git").mkdir()
    (folder / ".git" / "x.yaml").write_text(HEAD)
    shelf = read_folder(folder, limit=10**7)
    assert set(shelf) == {(Slug("acme", "chat"), LATEST), (Slug("acme", "model"), "1.0.0")}
    assert "Not this" not in shelf[Slug("acme", "chat"), LATEST].text


def test_all_files_together_have_a_limit(folder: Path) -> None:
    shelf = read_folder(folder, limit=len(HEAD) + 60)
    assert [entry.problem != "" for entry in shelf.values()] == [False, True]


@pytest.mark.parametrize(
    "text",
    [
        "file://hub",
        "file:hub",
        "file:///",
        "file:///..",
        "file://host/x",
        "file:///x?y",
        "file:///x#y",
        "file:///a%0Ab",
    ],
)
def test_an_address_that_names_no_folder_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"folder|query"):
        parse_hub_url(text)


@given(
    st.lists(
        st.text("ab %ü?#.~", min_size=1, max_size=5).filter(lambda t: t not in (".", "..")), min_size=1, max_size=3
    )
)
def test_a_folders_address_names_that_folder(parts: list[str]) -> None:
    """Written twice it is the same, and it is the path that it was made of."""
    path = Path("/", *parts)
    url = parse_hub_url(path.as_uri())
    assert folder_of(url) == str(path)
    assert parse_hub_url(url) == url


def test_a_changed_package_that_no_assistant_uses_is_there_after_the_next_pass(folder: Path, tmp_path: Path) -> None:
    """Also one of a fixed version, and one that was not there when a client asked for it."""
    (folder / "acme" / "style.md").write_text("Old rule.")
    style, later = "/registry/v1/acme/style/latest", "/registry/v1/acme/later/latest"
    packages = {"/v0/acme/style/latest/download": b"New rule.", "/v0/acme/later/latest/download": b"Later rule."}

    async def life() -> None:
        async with in_process(tmp_path, settings={"hub": {"url": folder.as_uri()}}) as it:
            await it.sync.run_pass()
            fixed = "/registry/v1/acme/model/1.0.0"
            assert (await it.ask("GET", fixed)).status == 200
            for path in (style, later, *packages):
                assert (await it.ask("GET", path)).status == (200 if "style" in path else 404)
            (folder / "acme" / "style.md").write_text("New rule.")
            (folder / "acme" / "later.md").write_text("Later rule.")
            (folder / "acme" / "model" / "1.0.0.yaml").write_text(HEAD + SECRET.replace("KEY", "OTHER"))
            it.clock.advance(1)
            await it.sync.run_pass()
            assert "New rule." in text(await it.ask("GET", style))
            assert "Later rule." in text(await it.ask("GET", later))
            assert "secrets.OTHER" in text(await it.ask("GET", fixed))
            for path, rule in packages.items():
                answer = await it.ask("GET", path)
                assert isinstance(answer.body, bytes)
                with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
                    assert [archive.read(name) for name in archive.namelist()] == [rule]
            assert len(it.orders) == 6, "nothing was asked by a client's question after that pass"

    asyncio.run(life())
