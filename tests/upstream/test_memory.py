"""Answers that are small on the wire and large in memory: they are refused, and at worst they cost one pass."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hublet.core import operations as ops
from hublet.core.outcomes import Malformed, PassReport, Unreachable
from hublet.upstream import child
from hublet.upstream.child import run_in_child
from hublet.upstream.order import Hub, WorkOrder
from hublet.upstream.strict import MOST_VALUES, NotStrict, loads

MB = 1024 * 1024
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no limit is set")


@contextlib.contextmanager
def hub_saying(body: bytes, *, packed: bool = False) -> Iterator[Hub]:
    """A Hub that gives one answer to everything."""
    packer = zlib.compressobj(1, wbits=31)
    sent = packer.compress(body) + packer.flush() if packed else body

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(sent)))
            if packed:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(sent)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Hub(f"http://127.0.0.1:{server.server_port}", None)
        server.shutdown()
        thread.join(5)


def passed(hub: Hub) -> PassReport:
    return asyncio.run(run_in_child(WorkOrder(hub, whole=False, ask=(ops.GetPolicy(),)), lambda _: None))


def worker_with(monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    """From now on the workers of passes have so much memory, in bytes."""
    code = f"import sys, hublet.worker as w; w._MEMORY, w._MEMORY_FOR_EACH_BYTE = {memory}, 0; sys.exit(w.main())"
    monkeypatch.setattr(child, "WORKER", (sys.executable, "-P", "-c", code))


@pytest.mark.parametrize("unit", [b"[]", b"{}", b"1", b'"a"', b'{"a":[]}', b"[[[[[]]]]]"])
def test_a_text_of_too_many_values_is_not_read(unit: bytes) -> None:
    marks = sum(unit.count(mark) for mark in (b"[", b"{", b",")) + 1
    with pytest.raises(NotStrict, match="more than 4000000 values"):
        loads(b"[" + b",".join([unit] * (MOST_VALUES // marks + 2)) + b"]")


def test_as_many_values_as_there_may_be_are_read() -> None:
    assert loads(b"[" + b",".join([b"1"] * MOST_VALUES) + b"]") == [1] * MOST_VALUES


def test_counting_takes_no_time_to_speak_of() -> None:
    body = b"[" + b'"[{,",' * (11 * MB) + b"1]"
    started = time.process_time()
    with pytest.raises(NotStrict):
        loads(body)
    assert time.process_time() - started < 0.5


def test_64_megabytes_of_nothing_take_a_worker_no_memory_to_speak_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As lists they would be 3 GB. This worker may have a few times the size of the text."""
    worker_with(monkeypatch, 400 * MB)
    body = b"[" + b",".join([b"[]"] * (64 * MB // 3 - 1)) + b"]"
    with hub_saying(body, packed=True) as hub:
        ((_, outcome),) = passed(hub).outcomes
    assert outcome == Malformed(f"the answer (200) can't be read: it has more than {MOST_VALUES} values")


@needs_linux
def test_a_worker_that_is_out_of_memory_is_a_broken_pass(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With one sentence that says why. What is cached stays: the pass was no whole one."""
    worker_with(monkeypatch, 256 * MB)
    why = "what the Hub answered takes more memory than a pass may have"
    with hub_saying(b'"%b"' % (b"a" * 40 * MB)) as hub:
        report = passed(hub)
    assert not report.whole
    assert report.outcomes == ((ops.GetPolicy(), Unreachable(why)),)
    assert [record.getMessage() for record in caplog.records] == [why]


@needs_linux
def test_the_worker_sets_itself_a_limit_and_keeps_a_lower_one() -> None:
    lines = """
import resource, sys
from hublet.host.hardening import limit_memory
assert limit_memory(3 << 30)
assert resource.getrlimit(resource.RLIMIT_DATA) == (3 << 30, 3 << 30)
assert limit_memory(4 << 30)
assert resource.getrlimit(resource.RLIMIT_DATA) == (3 << 30, 3 << 30)
sys.platform = "darwin"
assert not limit_memory(1 << 30)
assert resource.getrlimit(resource.RLIMIT_DATA) == (3 << 30, 3 << 30)
"""
    subprocess.run([sys.executable, "-c", lines], check=True, timeout=30)
