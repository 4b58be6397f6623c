"""Packages from npm that tests need, installed once for each set of versions."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import platformdirs
import pytest

from tests.running import missing

NPM_FOLDER = "HUBLET_TEST_NPM"
"""Names the folder that keeps what npm installs; by default it is in the user's cache directory."""


def installed(packages: Sequence[str]) -> Path:
    """The folder `node_modules` with exactly these packages. Skips the test, with npm's own words, where that fails."""
    if reason := missing("node", "npm"):
        pytest.skip(reason)
    given = os.environ.get(NPM_FOLDER)
    root = Path(given) if given else platformdirs.user_cache_path("hublet-tests", appauthor=False)
    folder = root / f"npm-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        _install(folder, packages)
    return folder / "node_modules"


def _install(folder: Path, packages: Sequence[str]) -> None:
    """Install beside `folder`, then rename: what has the name is complete. Skips with npm's own words."""
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent))
    try:
        unfinished.chmod(0o755)
        (unfinished / "package.json").write_text(json.dumps({"private": True}))
        # No scripts: nothing that is used has to be built, and what runs here may run as root.
        words = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", *packages]
        try:
            done = subprocess.run(words, cwd=unfinished, capture_output=True, text=True, timeout=240, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm install took too long")
        if done.returncode != 0:
            pytest.skip(f"npm install failed: {done.stderr.strip()[-500:]}")
        try:
            unfinished.rename(folder)
        except OSError:
            # Another run was first; its install is as good.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
