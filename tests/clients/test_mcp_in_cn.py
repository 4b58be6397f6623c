"""`hublet mcp` in a real client of Continue, started by the README's own line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from hublet.mcp.calling import OFFERED
from tests.clients.cn import WITHOUT_HUB, Cn
from tests.clients.pretend_llm import PretendLlm
from tests.running import Home
from tests.test_readme import ROOT

pytestmark = pytest.mark.clients

NOBODY = "http://127.0.0.1:9/"
CONFIG = """\
name: With hublet
version: 1.0.0
schema: v1
models: [{{name: Pretend, provider: openai, model: pretend-1, apiBase: "{url}", apiKey: x}}]
{line}
"""


def test_cn_offers_its_model_the_tools(home: Home, hub_server: HubServer, llm: PretendLlm, node_modules: Path) -> None:
    """cn 1.5.47, which has no Hub code, with the Hub gone."""
    found = re.search(r"^- Continue, `[^`]+`: `(mcpServers: .+)`$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert found is not None
    home.login(DEMO_KEY)
    (home.path / "with.yaml").write_text(CONFIG.format(url=llm.url, line=found[1]))
    programs = home.path / "bin"
    programs.mkdir()
    program = programs / "hublet"
    program.write_text(f'#!/bin/sh\nHUBLET_CONFIG={home.config} exec {sys.executable} -m hublet.cli.main "$@"\n')
    program.chmod(0o755)
    home.own()
    with home.daemon():
        assert home.hublet("sync").returncode == 0
        hub_server.stop()
        more = {"PATH": f"{programs}:{home.env()['PATH']}"}
        done = Cn(home, node_modules, WITHOUT_HUB).headless(NOBODY, "--config", "with.yaml", key=None, more=more)
    assert done.returncode == 0, (done.stdout, done.stderr)
    offered = {each["function"]["name"] for each in llm.prompts[0].body["tools"]}
    assert offered >= set(OFFERED), offered
