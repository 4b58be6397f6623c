"""How hublet starts: what it has loaded before its first answer, and what it goes on without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.__main__ import plain_run
from hublet.cli.main import cli
from hublet.core.secretstr import SecretStr
from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub as DemoHub
from hublet.demo.server import HubServer
from hublet.upstream.child import child_environment
from hublet.upstream.order import Hub, WorkOrder, order_to_json
from tests.faults.test_certificates import certificate, context
from tests.running import AS_ROOT, HUBLET, Home, eventually

_LIST = """
import sys
import hublet.daemon
from hublet.__main__ import main

async def stop_short(self, answer=hublet.daemon.Daemon._answer):
    await answer(self)
    print(*sorted(sys.modules), sep="\\n", flush=True)
    sys.exit(0)

hublet.daemon.Daemon._answer = stop_short
main()
"""
_FIRST = "import sys; sys.argv = ['hublet', 'run']; from hublet.host.lean import load_libraries; load_libraries()\n"

LIBRARIES = {"_cffi_backend", "_cython", "cryptography", "httptools", "orjson", "uvloop"}
"""Whatever is not Python's own. (A plain config needs no YAML, a usual home no platformdirs.)"""
LATER = {
    "_hashlib", "_ssl", "apscheduler", "click", "email", "httpx", "jeepney", "keyring", "multiprocessing", "platform",
    "rich", "shutil", "ssl", "tzlocal", "watchdog", "zlib", "zoneinfo", "hublet.cli", "hublet.core.judgement",
    "hublet.demo", "hublet.doctor", "hublet.export", "hublet.following", "hublet.host.bus", "hublet.host.desktop",
    "hublet.host.watching", "hublet.schedule", "hublet.reload", "hublet.serve.account", "hublet.serve.admin",
    "hublet.serve.auditlog", "hublet.serve.bundling", "hublet.serve.examining", "hublet.serve.exporter",
    "hublet.serve.exporting", "hublet.serve.forgetting", "hublet.serve.history", "hublet.serve.keys",
    "hublet.serve.listing", "hublet.serve.metrics", "hublet.serve.parts", "hublet.serve.quarantine",
    "hublet.serve.routes", "hublet.serve.secrets", "hublet.serve.showing", "hublet.serve.sunset",
    "hublet.serve.syncing", "hublet.serve.tokens", "hublet.serve.upkeep", "hublet.store.check",
    "hublet.store.migrations", "hublet.tending", "hublet.upstream.http", "hublet.upstream.worker",
}  # fmt: skip
CHECKOUT = "/ide/get-models-add-on-checkout-url?profile_id=local"
"""Never cached: asked through each time."""
MOST = 109
"""Modules of hublet. Each takes its millisecond: who adds one asks whether the first answer needs it."""


def within(name: str, places: set[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def test_what_is_loaded_before_the_first_answer(logged_in: Home) -> None:
    """Only what it takes to answer from the cache; everything else comes behind it."""
    done = logged_in.python("-c", _FIRST + _LIST, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    names = set(done.stdout.decode().split())
    own = sys.stdlib_module_names
    others = {name.partition(".")[0] for name in names} - own - {"hublet", "__main__", "__mp_main__"}
    unknown = {name for name in others if not name.startswith(tuple(LIBRARIES)) and name not in ("sitecustomize",)}
    assert unknown <= {"_distutils_hack", "cython_runtime", "_openssl"}, unknown
    assert not {name for name in names if within(name, LATER)}
    assert len({name for name in names if name.startswith("hublet")}) <= MOST


@pytest.mark.skipif(not AS_ROOT, reason="only root may look into a hardened process")
def test_a_sleeping_daemon_has_neither_a_second_openssl_nor_the_commands(logged_in: Home) -> None:
    """Before and after a sync, which asks a Hub and runs in a process of its own."""
    with logged_in.daemon() as daemon:
        eventually(lambda: b"answered," in daemon.log.read_bytes())
        assert logged_in.hublet("sync").returncode == 0
        maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    assert "sqlite3" in maps
    assert "_rust" in maps
    for library in ("/libssl", "/libcrypto", "_ssl."):
        assert library not in maps


def test_what_is_passed_through_goes_over_tls_all_the_same(tmp_path: Path) -> None:
    """httpx brings `ssl` in when it is first needed; a certificate that nobody vouches for is still refused."""
    tmp_path.chmod(0o755)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(certificate(tmp_path / "good.pem"))
    with HubServer(DemoHub(), tls=context(tmp_path / "good.pem")) as server:
        home = Home.make(tmp_path / "home", server.url, settings={"hub": {"ca_file": str(trusted)}})
        home.login(DEMO_KEY)
        with home.daemon() as daemon:
            answer = daemon.ask("GET", CHECKOUT, headers={"Authorization": f"Bearer {DEMO_KEY}"})
            assert answer.status == 200
            assert b'"url":' in answer.body
        home.configure(server.url)
        with home.daemon() as daemon:
            answer = daemon.ask("GET", CHECKOUT, headers={"Authorization": f"Bearer {DEMO_KEY}"})
            assert answer.status == 503


def in_a_fresh_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


_FIRST_QUESTION = """
import os, socket, sys
import hublet.worker

class Told(socket.socket):
    def connect(self, address):
        print(*sys.modules, flush=True)
        os._exit(0)

socket.socket = Told
hublet.worker.main()
"""
NOT_TO_ASK = {
    "click", "hublet.core.judgement", "hublet.core.ledger", "hublet.core.state", "hublet.core.unrolling",
    "hublet.core.yaml12", "hublet.upstream.child", "hublet.upstream.folder", "hublet.upstream.forward", "httpx._main",
    "rich", "runpy", "sqlite3", "yaml", "_hashlib",
}  # fmt: skip
MOST_TO_ASK = 33
"""Of hublet's own modules."""


def test_what_a_worker_has_loaded_before_its_first_question(tmp_path: Path) -> None:
    """Each pass is a process of its own: what it imports is what a sync takes before it asks anything. YAML and
    archives when there is one, and no command line."""
    order = order_to_json(WorkOrder(Hub("http://127.0.0.1:1", SecretStr("con_of_nobody"))))
    environment = child_environment({**os.environ, "HOME": str(tmp_path)})
    environment = {name: value for name, value in environment.items() if not name.upper().endswith("_PROXY")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", _FIRST_QUESTION], input=order, capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    names = set(done.stdout.decode().split())
    assert {"hublet.upstream.survey", "httpx"} <= names
    assert not {name for name in names if within(name, NOT_TO_ASK)}
    assert len({name for name in names if name.startswith("hublet")}) <= MOST_TO_ASK


def test_digests_are_the_same_without_openssl() -> None:
    """Names of revisions and the manifest must not depend on who computes them; scrypt, which OpenSSL alone has, is
    there when a passphrase is used."""
    code = """
import hashlib, hmac
from hublet.core.secretstr import SecretStr
from hublet.keys.passphrase import Factors, _derive
print(hashlib.sha256(b"x").hexdigest(), hashlib.blake2b(b"x", key=b"k", digest_size=16).hexdigest())
print(hmac.digest(b"k", b"x", "sha256").hex(), _derive(SecretStr("p"), b"s" * 16, Factors(16, 8, 1)).reveal().hex())
"""
    lean = "import sys; from hublet.host.lean import spare_openssl; spare_openssl()\n"
    check = "assert '_hashlib' not in sys.modules; assert 'ssl' not in sys.modules\n"
    assert in_a_fresh_python(lean + check + code) == in_a_fresh_python(code)


def test_a_hidden_module_is_to_be_had_again_afterwards() -> None:
    """And one that was there before was never hidden."""
    code = """
import json, sys
from hublet.host.lean import without
with without("json", "zipapp"):
    import json as same
    try:
        import zipapp
    except ImportError:
        print("hidden")
import zipapp
print(same is json, zipapp.__name__)
"""
    assert in_a_fresh_python(code).split() == ["hidden", "True", "zipapp"]


def test_a_stand_in_is_gone_afterwards() -> None:
    """Who imports `ssl` then has Python's own; and nobody who had it is given another one."""
    code = """
import sys
from hublet.host.lean import spare_openssl, standing_in
spare_openssl()
with standing_in({"ssl": {"SSLContext": object}}):
    import ssl as hollow
    from ssl import SSLContext
import ssl
with standing_in({"ssl": {}}):
    import ssl as same
print(SSLContext is object, hasattr(hollow, "OPENSSL_VERSION"), hasattr(ssl, "OPENSSL_VERSION"), same is ssl)
"""
    assert in_a_fresh_python(code).split() == ["True", "False", "True", "True"]


def test_what_wants_more_of_a_module_than_was_thought_is_given_the_real_one(tmp_path: Path) -> None:
    """A later version of a library may use what an earlier one did not; and what is not there is not there."""
    (tmp_path / "greedy.py").write_text("import zipapp\nfrom textwrap import dedent, indent\n")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from hublet.host.lean import load
load("greedy", hollow={{"zipapp": {{}}, "textwrap": {{"dedent": None}}}})
import greedy
print(hasattr(greedy.zipapp, "create_archive"), greedy.dedent is not None)
try:
    load("nowhere", hollow={{"zipapp": {{}}}})
except ImportError as error:
    print(error.name)
"""
    assert in_a_fresh_python(code).split() == ["True", "True", "nowhere"]


def test_the_scheduler_calls_in_its_time_without_what_it_would_bring_along() -> None:
    """Readers of packages' metadata, pools and time zones are not loaded by it, and can all be had afterwards."""
    code = """
import asyncio, sys
from hublet.host.lean import load_scheduler, spare_openssl
spare_openssl()
load_scheduler()
from hublet.schedule import Scheduled

async def main():
    called, timer = asyncio.Event(), Scheduled()
    timer.set(3600, lambda: print("an hour early"))
    timer.set(0, called.set)
    await called.wait()
    timer.set(0, lambda: print("cleared"))
    timer.clear()
    timer.close()

asyncio.run(main())
print(*{"importlib.metadata", "email", "multiprocessing", "tzlocal", "zoneinfo"}.intersection(sys.modules))
import importlib.metadata, zoneinfo
from apscheduler.executors.pool import ThreadPoolExecutor
print(importlib.metadata.version("apscheduler")[0], zoneinfo.ZoneInfo("UTC"), ThreadPoolExecutor.__name__)
"""
    assert in_a_fresh_python(code).splitlines() == ["", "3 UTC ThreadPoolExecutor"]


WORDS = st.sampled_from(
    ["run", "--debug", "--config", "--config=/a", "/a", "--config=", "--help", "status", "-h", "--"]
)


@given(st.lists(WORDS, max_size=5))
def test_a_plain_run_is_understood_as_the_cli_would(words: list[str]) -> None:
    """Whatever is read without the cli's library means the same to it; what is not is left to it."""
    plain = plain_run(words)
    if plain is None:
        return
    context = cli.make_context("hublet", list(words))
    name, command, rest = cli.resolve_command(context, context._protected_args + context.args)
    assert name == "run"
    assert isinstance(command, click.Command)
    file, debug = plain
    assert context.params["file"] == (Path(file) if file is not None else None)
    assert command.make_context("run", rest, parent=context).params == {"debug": debug}


def test_the_usual_ways_to_run_are_plain() -> None:
    assert plain_run(["run"]) == (None, False)
    assert plain_run(["--config", "/x", "run", "--debug"]) == ("/x", True)
    assert plain_run(["run", "--help"]) is None
    assert plain_run(["status"]) is None


def test_a_run_that_can_not_be_says_why_like_any_command(home: Home) -> None:
    """One sentence, a hint, its exit code, whichever way it was understood; no traceback."""
    home.config.chmod(0o666)
    plain, explained = home.hublet("run"), home.hublet("run", "--debug", "--debug")
    assert plain.returncode == explained.returncode == 2
    assert plain.stderr == explained.stderr
    assert plain.stderr.startswith(b"hublet: ")
    assert HUBLET[-1] == "hublet"
