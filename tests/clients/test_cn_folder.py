"""The real `cn` 1.5.45 on a folder that is the Hub: no account, no network but the model's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.cn import Cn
from tests.clients.pretend_llm import PretendLlm
from tests.running import Home

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]


@pytest.fixture
def place() -> Iterator[Path]:
    """On a path that the home's user may walk."""
    with tempfile.TemporaryDirectory(prefix="hublet-folder-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_cn_runs_a_prompt_on_an_assistant_of_a_folder(node_modules: Path, place: Path, llm: PretendLlm) -> None:
    """Its model comes from a block, its key from the user's own file."""
    (place / "hub" / "acme").mkdir(parents=True)
    (place / "hub" / "acme" / "chat.yaml").write_text(
        f"name: Chat\nversion: 1.0.0\nschema: v1\nmodels:\n  - uses: acme/model\n    with: {{URL: '{llm.url}'}}\n"
    )
    (place / "hub" / "acme" / "model.yaml").write_text(
        "name: Model\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: Pretend\n    provider: openai\n"
        "    model: pretend-1\n    apiBase: ${{ inputs.URL }}\n    apiKey: ${{ secrets.LLM_KEY }}\n    roles: [chat]\n"
    )
    values = place / "home" / "values.env"
    home = Home.make(place / "home", (place / "hub").as_uri(), settings={"secrets": {"override": values}})
    values.touch(mode=0o600)
    values.write_text("LLM_KEY=canary-own-key\n")
    home.own()
    with home.daemon() as daemon:
        assert home.hublet("sync").returncode == 0
        done = Cn(home, node_modules).headless(daemon.url + "/", "--config", "acme/chat")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.strip()
    assert llm.bearers() == ["Bearer canary-own-key"]
