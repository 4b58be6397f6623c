"""Watching a running daemon: its stream of events over the port and by `hublet watch`, over stops and restarts."""

from __future__ import annotations

import http.client
import json
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hublet.core.messages import Head, Request, Response
from hublet.core.telling import READABLE
from hublet.demo.faults import Hang
from hublet.demo.server import HubServer
from hublet.door.application import Admitted, Connection, Limits
from hublet.serve.events import Events
from hublet.serve.telling import Stream
from tests.daemon.asking import free_port
from tests.daemon.visitor import PATIENCE, Visitor, ask, connect
from tests.door.door_talk import run, serving, until
from tests.running import HUBLET, Home, RunningDaemon, eventually

EVENTS = "/hublet/v1/events"
_ASKING = b"GET /hublet/v1/events HTTP/1.1\r\nHost: %HOST%\r\n\r\n"
_WHOLE = b"\r\n0\r\n\r\n"
"""The end of a stream that was not cut (RFC 9112 section 7.1)."""


@contextmanager
def listening(daemon: RunningDaemon, headers: Mapping[str, str] | None = None) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection("localhost", daemon.port, timeout=PATIENCE)) as connection:
        connection.sock = connect(daemon)
        connection.request("GET", EVENTS, headers=dict(headers or {}))
        yield connection.getresponse()


def block(response: http.client.HTTPResponse) -> dict[str, str]:
    """The next event, its fields by name; without any at the end."""
    fields: dict[str, str] = {}
    for line in response:
        if line == b"\n":
            if fields:
                return fields
            continue
        name, _, said = line.decode().rstrip("\n").partition(":")
        if name:
            fields[name] = said.removeprefix(" ")
    return fields


def wanted(response: http.client.HTTPResponse, kind: str) -> dict[str, Any]:
    """The next event of a kind, as its JSON."""
    while (found := block(response)).get("event") != kind:
        assert found, f"the stream ended without {kind}"
    return dict(json.loads(found["data"]))


def test_what_happens_is_heard_and_a_stop_ends_the_stream_at_once(logged_in: Home) -> None:
    """Whole, not cut: a stop would have to wait for a stream that does not end, and then break it off."""
    with logged_in.daemon() as daemon, listening(daemon) as stream, Visitor(daemon) as raw:
        raw.send(_ASKING)
        raw.until(b"retry")
        assert (stream.status, stream.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert stream.headers["X-Content-Type-Options"] == "nosniff"
        first = block(stream)
        assert first.keys() == {"retry", "id"}
        assert logged_in.hublet("lock").returncode == 0
        locked = wanted(stream, "locked")
        assert int(locked["id"]) > int(first["id"])
        assert ask(daemon, "GET", EVENTS, stranger=True).status == 403
        daemon.process.send_signal(signal.SIGTERM)
        assert raw.rest().endswith(_WHOLE)
        assert daemon.process.wait(15) == 0


def test_a_token_of_scope_read_suffices_for_all_three(logged_in: Home) -> None:
    """As a scraper of another user has it."""
    with logged_in.daemon() as daemon:
        done = logged_in.hublet("token", "--name", "prometheus", "--scope", "read")
        token = {"Authorization": f"Bearer {done.stdout.decode().split()[0]}"}
        assert ask(daemon, "GET", "/metrics", stranger=True).status == 403
        metrics = ask(daemon, "GET", "/metrics", headers=token, stranger=True)
        assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        names = {family.name for family in text_string_to_metric_families(metrics.body.decode())}
        assert {"hublet_build_info", "hublet_refusals", "hublet_records", "process_resident_memory_bytes"} <= names
        status = ask(daemon, "GET", "/hublet/v1/status", headers=token, stranger=True).json()
        whole = json.loads(logged_in.hublet("status", "--json").stdout)
        assert isinstance(status, dict)
        assert status.keys() == whole.keys() & READABLE
        with listening(daemon, token) as stream:
            assert "id" in block(stream)


@pytest.mark.slow
def test_the_heartbeat_finds_what_is_stale_and_shows_that_it_lives(logged_in: Home, hub_server: HubServer) -> None:
    """No timer but the daemon's own: here one that a watchdog wants soon."""
    each_second = {"every": "1s", "unasked": "normal", "on_battery": "normal"}
    logged_in.configure(hub_server.url, settings={"sync": each_second, "hub": {"timeout": "8s"}})
    watchdog = {"NOTIFY_SOCKET": "/nobody/listens", "WATCHDOG_USEC": "600000"}
    with logged_in.daemon(env=watchdog) as daemon, Visitor(daemon) as stream:
        stream.send(_ASKING)
        stream.until(b"\r\n:\n\n\r\n")
        with hub_server.hub.failing(Hang()):
            # No pass has ended meanwhile, so that nothing else can have looked.
            assert b"event: offline" not in stream.until(b"event: stale\n")
        hub_server.stop()
        stream.until(b"event: offline\n")
        hub_server.start(hub_server.port)
        stream.until(b"event: online\n")


@pytest.mark.slow
def test_who_listens_on_a_port_that_is_given_up_is_told_to_come_back(home: Home, hub_server: HubServer) -> None:
    """The stream ends in order, so that the rest of the connection's work is not cut with it."""
    home.configure(hub_server.url, port=free_port())
    with home.daemon() as daemon, Visitor(daemon) as stream:
        stream.send(_ASKING)
        stream.until(b"retry")
        home.configure(hub_server.url, port=free_port())
        daemon.process.send_signal(signal.SIGHUP)
        stream.until(b'"taken over"')
        assert stream.rest().endswith(_WHOLE)


@contextmanager
def watching(home: Home, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        home.command(*HUBLET, "watch", *words),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        env=home.env(), cwd=home.path,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[bytes], text: bytes, *, errors: bool = False) -> bytes:
    """The next line that has a text in it, as it comes."""
    stream = process.stderr if errors else process.stdout
    assert stream is not None
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([stream], [], [], 1)[0]:
            line = stream.readline()
            assert line, f"it ended without {text!r}"
            if text in line:
                return line
    raise AssertionError(f"no line with {text!r} came")


def listens(daemon: RunningDaemon) -> bool:
    return "hublet_event_listeners 1" in ask(daemon, "GET", "/metrics").body.decode()


@pytest.mark.slow
def test_watch_goes_on_over_a_restart_and_ends_with_ctrl_c(logged_in: Home) -> None:
    """What happened before it was connected again comes too, led by a word that something may be missing."""
    with watching_after_start(logged_in) as process:
        with logged_in.daemon() as daemon:
            line_of(process, b"connected again", errors=True)
            missed = json.loads(line_of(process, b'"missed"'))
            assert missed["detail"] == "hublet was started anew since"
            line_of(process, b'"pass"')
            logged_in.hublet("lock")
            locked = json.loads(line_of(process, b'"locked"'))
            assert locked["id"] > missed["id"]
            process.send_signal(signal.SIGINT)
            assert process.wait(15) == 0
            eventually(lambda: not listens(daemon))
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


@contextmanager
def watching_after_start(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """A watch of a daemon that has ended since."""
    with home.daemon() as daemon, watching(home, "--json") as process:
        eventually(lambda: listens(daemon))
        daemon.stop()
        line_of(process, b"the daemon has ended", errors=True)
        yield process


@pytest.mark.slow
def test_watch_prints_a_line_for_people(logged_in: Home) -> None:
    with logged_in.daemon() as daemon, watching(logged_in) as process:
        eventually(lambda: listens(daemon))
        logged_in.hublet("lock")
        words = line_of(process, b"locked").decode().split()
        assert words[2:] == ["locked", "as", "you", "asked"]


def test_watch_without_a_daemon_says_what_to_do(home: Home) -> None:
    done = home.hublet("watch")
    assert done.returncode == 9
    assert b"no hublet is running" in done.stderr
    assert b"`hublet service start` or `hublet run`" in done.stderr


class _Streaming:
    """An application that answers with the events and nothing else."""

    def __init__(self) -> None:
        self.events = Events(time.time)

    def admit(self, head: Head, connection: Connection) -> Admitted | Response:
        return Admitted(None)

    def respond(self, request: Request, admitted: Admitted) -> Response:
        def write(events: tuple[object, ...]) -> bytes:
            return b"x" * 65536

        return Response(200, (), Stream(self.events, "api", None, write, begin=lambda _: b"begun"))


def test_who_does_not_read_is_dropped_and_its_place_is_free() -> None:
    """By the limit that every answer has: nothing gathers for it meanwhile but a place in the ring."""

    async def main() -> None:
        app = _Streaming()
        async with serving(app, Limits(stalled_time=0.2)) as server:
            client = await server.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.get()
            await until(lambda: len(app.events) == 1)

            def told_until_dropped() -> bool:
                app.events.tell("config")
                return len(app.events) == 0

            await until(told_until_dropped, 20)
            assert len(server.listener) == 0

    run(main())
