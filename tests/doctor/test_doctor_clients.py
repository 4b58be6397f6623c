"""Which hub each client would ask, by every place that may say so."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest
from tests.doctor.looking import Place, grades, only

from hublet.doctor import clients
from hublet.doctor.findings import Finding
from hublet.host import pointing

HERE = "http://localhost:3001/"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = Place(tmp_path)
    found.configure(serve={"port": 3001})
    monkeypatch.chdir(found.home)
    return found


def test_nothing_points_here(place: Place) -> None:
    found = place.found(clients.clients)
    assert grades(found) == {"clients.cn": "ok", "clients.ide": "ok", "clients": "warning"}
    assert only(found, "clients").fix == "`hublet point`"


def test_what_hublet_point_writes_is_found(place: Place) -> None:
    """The session's file and the IDE's mark, as it makes them; of several session files the last counts."""
    for client in ("cn", "vscode"):
        pointing.point(pointing.pointers(client, 3001, place.environment), place.data)  # type: ignore[arg-type]
    place.write(".config/environment.d/10-older.conf", "CONTINUE_API_BASE=https://elsewhere.example\n")
    found = place.found(clients.clients)
    assert grades(found) == {"clients.cn": "ok", "clients.ide": "ok"}
    assert "50-hublet.conf:1" in only(found, "clients.cn").message
    assert str(place.home / ".continue/.local") in only(found, "clients.ide").message


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (".bashrc", f"export CONTINUE_API_BASE={HERE}"),
        (".profile", f'CONTINUE_API_BASE="{HERE}"'),
        (".zshrc", f"  export CONTINUE_API_BASE='{HERE}' # hublet"),
        (".config/fish/config.fish", f"set -gx CONTINUE_API_BASE {HERE}"),
        (".config/fish/conf.d/x.fish", f"set --global --export CONTINUE_API_BASE {HERE}"),
        (".env", f"CONTINUE_API_BASE={HERE}"),
    ],
)
def test_each_profile_is_read(place: Place, file: str, line: str) -> None:
    """The line that counts is the last one; one in a comment does not."""
    text = f"echo hello\n# export CONTINUE_API_BASE=https://x.example\nexport CONTINUE_API_BASE=http://localhost:1/\n{line}\n"
    place.write(file, text)
    found = place.found(clients.clients)
    assert only(found, "clients.cn").grade == "ok"
    assert f"{place.home / file}:4" in only(found, "clients.cn").message
    assert "clients" not in grades(found)


def test_the_lines_that_hublet_point_prints_are_read(place: Place) -> None:
    for shell in pointing.SHELLS:
        place.write(".profile", pointing.shell_line(shell, 3001) + "\n")
        assert only(place.found(clients.clients), "clients.cn").grade == "ok"


@pytest.mark.parametrize(
    ("url", "grade", "words"),
    [
        (HERE, "ok", "this shell's environment"),
        ("http://127.0.0.1:3001", "ok", "ask this hublet"),
        ("http://[::1]:3001/", "ok", "ask this hublet"),
        ("http://localhost:3002/", "problem", "serves port 3001"),
        ("https://localhost:3001/", "problem", "speaks http"),
        ("http://localhost:3001/hub", "problem", "no path /hub"),
        ("https://api.continue.dev/", "warning", "not hublet"),
        ("https://me:word@hub.example/", "warning", "https://hub.example/"),
        ("http://localhost:x/", "problem", "no address"),
    ],
)
def test_where_a_value_leads(place: Place, url: str, grade: str, words: str) -> None:
    place.environment["CONTINUE_API_BASE"] = url
    found = only(place.found(clients.clients), "clients.cn")
    assert (found.grade, words in found.message) == (grade, True), found
    assert "word" not in found.message


def test_two_places_that_disagree(place: Place) -> None:
    place.environment["CONTINUE_API_BASE"] = HERE
    place.write(".bashrc", "export CONTINUE_API_BASE=https://api.continue.dev/\n")
    found = place.found(clients.clients)
    assert "different values" in found[2].message


def test_an_ide_that_asks_another_port(place: Place) -> None:
    place.write(".continue/.local", "")
    place.configure(serve={"port": 3999})
    assert only(place.found(clients.clients), "clients.ide").grade == "problem"


def test_the_staging_hub(place: Place) -> None:
    """Beside .local it is not heeded; CONTINUE_GLOBAL_DIR moves both."""
    mark = place.write("other/.staging", "")
    place.environment["CONTINUE_GLOBAL_DIR"] = str(mark.parent)
    assert only(place.found(clients.clients), "clients.ide").grade == "warning"
    place.write("other/.local", "")
    assert grades(place.found(clients.clients))["clients.ide"] == "ok"


def ide(place: Place) -> list[Finding]:
    return [finding for finding in place.found(clients.clients) if finding.check == "clients.ide"]


def test_a_license_goes_before_everything(place: Place) -> None:
    """Of an on-premises Hub; one that has ended is not heeded, one that can't be read is none."""

    def licensed(until: str) -> None:
        inner = {
            "data": json.dumps({"expiresAt": until}),
            "signature": "x",
            "unsignedData": {"apiUrl": "https://me:word@on.prem/x"},
        }
        key = b64encode(json.dumps(inner).encode()).decode()
        place.write(".config/continue/mdm.json", json.dumps({"licenseKey": key}))

    place.write(".continue/.local", "")
    licensed("2999-01-01T00:00:00.000Z")
    found = ide(place)
    assert [finding.grade for finding in found] == ["warning"]
    assert "https://on.prem" in found[0].message
    assert "word" not in found[0].message
    licensed("2020-01-01T00:00:00.000Z")
    assert [finding.grade for finding in ide(place)] == ["ok", "ok"]
    place.write(".config/continue/mdm.json", "{}")
    assert len(ide(place)) == 1
