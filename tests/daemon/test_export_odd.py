"""Configs of every oddity, as a folder that is the Hub, exported by the real command: each is written, or one line says
why not, and the rest go on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from hublet.core import yaml12
from tests.running import Home

pytestmark = pytest.mark.slow

CONFIGS = "HUBLET_TEST_CONFIGS"
HEAD = "name: Odd\nversion: 1.0.0\nschema: v1\n"
MODELS = "models:\n  - name: A\n    provider: ollama\n    model: a\n  - name: B\n    provider: ollama\n    model: b\n"
RULE = "rules:\n  - R\n  - S\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
WRITTEN: dict[str, str] = {
    "anchors": f"{HEAD}models:\n  - &m\n    name: A\n    provider: ollama\n    model: a\n  - *m\n",
    "merge-1-1": f"%YAML 1.1\n---\n{HEAD}models:\n  - &x {{name: A, provider: ollama, model: a}}\n"
    "  - {<<: *x, name: B}\n",
    "crlf": (HEAD + MODELS).replace("\n", "\r\n"),
    "bom": f"\ufeff{HEAD}{MODELS}",
    "no-end": (HEAD + MODELS).rstrip("\n"),
    "emoji": f"{HEAD.replace('Odd', '🦉')}{MODELS}",
    "foreign": f"{HEAD}{MODELS}tabAutocompleteModel: {{a: 1}}\nexperimental: true\n",
    "no-schema": f"name: N\nversion: 1.0.0\n{MODELS}",
    "dollars": HEAD
    + MODELS.replace("model: a", "model: a\n    apiKey: ${HOME}x$USER")
    + "rules:\n  - ${HOME} and $USER\n",
    "no-blanks": HEAD + MODELS.replace("model: a", "model: a\n    apiKey: ${{secrets.X}}"),
    "inside": HEAD + MODELS.replace("model: a", "model: a\n    apiKey: a-${{ secrets.X }}-${{ secrets.Y }}-b"),
    "braces": f"{HEAD}{RULE}prompts:\n  - name: p\n    prompt: 'x {{{{{{ input }}}}}} y'\n"
    "  - name: q\n    prompt: '{{#each}}'\n",
    "norway": f"{HEAD}rules:\n  - on\n  - no\n  - 'yes'\n  - '012'\n  - '1:30'\n",
}
BROKEN: dict[str, str] = {
    "invalid": f"{HEAD}models: [\n",
    "twice": f"{HEAD}{MODELS}{MODELS}",
    "tabs": f"{HEAD}models:\n\t- name: A\n",
    "rules-mapping": f"{HEAD}{MODELS}rules: {{a: b}}\n",
    "no-name": f"version: 1.0.0\n{MODELS}",
    "no-version": f"name: N\n{MODELS}",
    "null-models": f"{HEAD}models: null\nrules:\n  - R\n  - S\n",
    "bomb": f"{HEAD}{BOMB}",
}


def exported(place: Path, folder: Path) -> tuple[Home, dict[str, Any], str]:
    """The folder synced and exported to `out`: the home, the report by slug, and what was said."""
    home = Home.make(place / "home", folder.as_uri())
    assert home.hublet("sync").returncode == 0
    done = home.hublet("export", "out", "--json")
    assert done.returncode == 0, done.stderr.decode()
    shown = home.hublet("export", "out")
    assert shown.returncode == 0
    return home, {one["slug"]: one for one in json.loads(done.stdout)["report"]}, (shown.stdout + shown.stderr).decode()


def looked_at(home: Home, report: dict[str, Any], said: str) -> dict[str, Any]:
    """The written configs by slug. Every assistant is one of them, or has one line that says why it is not."""
    found = {}
    for slug, one in report.items():
        file = home.path / "out/agents" / f"{slug.replace('/', '.')}.yaml"
        if file.exists():
            found[slug] = yaml12.read(file.read_text())
            assert found[slug]["schema"] == "v1"
            items = [item for section in found[slug].values() if isinstance(section, list) for item in section]
            assert not any("uses" in item for item in items if isinstance(item, dict))
        else:
            assert one["standing"] == "can't work"
            lines = [line for line in said.splitlines() if line.startswith(f"{slug}: not written: ")]
            assert len(lines) == 1, (slug, said)
            assert len(lines[0]) > len(f"{slug}: not written: ")
    return found


def test_what_can_be_written_is_and_the_rest_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    (folder / "odd").mkdir(parents=True)
    for name, text in (WRITTEN | BROKEN).items():
        (folder / "odd" / f"{name}.yaml").write_text(text, newline="")
    home, report, said = exported(tmp_path, folder)
    assert report.keys() == {f"odd/{name}" for name in WRITTEN | BROKEN}
    found = looked_at(home, report, said)
    assert found.keys() == {f"odd/{name}" for name in WRITTEN}
    # What stands where a key belongs is a value like one that the Hub would have sent; elsewhere it is text.
    assert found["odd/dollars"]["rules"] == ["${HOME} and $USER"]
    key = found["odd/dollars"]["models"][0]["apiKey"].removeprefix("${{ secrets.").removesuffix(" }}")
    assert home.hublet("export", "out", "--env", "out/.env").returncode == 0
    assert f"{key}='${{HOME}}x$USER'\n" in (home.path / "out/.env").read_text()
    assert found["odd/no-blanks"]["models"][0]["apiKey"] == "${{ secrets.X }}"
    assert found["odd/inside"]["models"][0]["apiKey"] == "a-${{ secrets.X }}-${{ secrets.Y }}-b"
    assert found["odd/braces"]["prompts"][0]["prompt"] == "x {{{ input }}} y"
    assert found["odd/norway"]["rules"] == ["on", "no", "yes", "012", "1:30"]
    assert found["odd/merge-1-1"]["models"][1] == {"name": "B", "model": "a", "provider": "ollama"}
    assert found["odd/emoji"]["name"] == "🦉"


@pytest.mark.skipif(CONFIGS not in os.environ, reason=f"no real configs: {CONFIGS} names no folder of them")
def test_real_configs_are_exported_or_named(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    (folder / "real").mkdir(parents=True)
    for path in Path(os.environ[CONFIGS]).iterdir():
        shutil.copyfile(path, folder / "real" / path.name)
    home, report, said = exported(tmp_path, folder)
    assert len(report) > 20
    found = looked_at(home, report, said)
    assert found
    assert any(config.get("models") for config in found.values())
    agents = {path: path.read_bytes() for path in (home.path / "out").rglob("*.yaml")}
    assert home.hublet("export", "out").returncode == 0
    assert {path: path.read_bytes() for path in (home.path / "out").rglob("*.yaml")} == agents
