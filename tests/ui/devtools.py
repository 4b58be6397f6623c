"""A headless Chromium that is driven over the DevTools protocol, through a pipe: no port that others could use."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.running import AS_ROOT, Home, without_rights

PATIENCE = 30.0

_START = """
import os, sys
given, taken = int(sys.argv[1]), int(sys.argv[2])
os.dup2(given, 10), os.dup2(taken, 11)
os.dup2(10, 3), os.dup2(11, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from descriptor 3 and answers on 4."""


class ScriptError(AssertionError):
    """A script in the page threw."""


class Browser:
    """The whole browser: one command at a time, events are kept for who asks."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._got = b""
        self._last = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, /, **params: object) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            told = self._next(until)
            if told.get("id") == self._last:
                assert "error" not in told, f"{method}: {told['error']}"
                return dict(told["result"])
            self.events.append(told)

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._got:
            ready, _, _ = select.select([self._back], [], [], max(0.0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._back, 1 << 20)
            assert data, "the browser has ended"
            self._got += data
        line, _, self._got = self._got.partition(b"\0")
        return dict(json.loads(line))

    def open(self, address: str = "about:blank", *, width: int = 1280, dark: bool = False) -> Tab:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        tab = Tab(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        tab.call("Page.enable")
        tab.call("Runtime.enable")
        tab.call("Log.enable")
        tab.resize(width)
        tab.scheme(dark=dark)
        if address != "about:blank":
            tab.go(address)
        return tab


class Tab:
    """One page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, /, **params: object) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def go(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in told:
            thrown = told["exceptionDetails"]
            raise ScriptError(f"{script[:200]}: {thrown.get('exception', {}).get('description', thrown.get('text'))}")
        return told["result"].get("value")

    def until(self, script: str, *, within: float = PATIENCE) -> Any:
        """Wait until an expression gives something true, and return it."""
        deadline = time.monotonic() + within
        while True:
            try:
                if found := self.run(script):
                    return found
            except (ScriptError, AssertionError) as error:
                if "does not answer" in str(error):
                    raise
            assert time.monotonic() < deadline, (
                f"it did not happen in time: {script}\n{self.complaints()}\n{self.text()[:3000]}"
            )
            time.sleep(0.05)

    def text(self) -> str:
        return str(self.run("document.body ? document.body.innerText : ''"))

    def resize(self, width: int, height: int = 900) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, *, dark: bool) -> None:
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def show(self) -> None:
        """Bring it to the front: a page that nobody sees draws nothing."""
        self.call("Page.bringToFront")

    def key(self, name: str, *, code: int = 0, text: str = "") -> None:
        """Press and release a key, as a person does."""
        more = {"windowsVirtualKeyCode": code, **({"text": text} if text else {})}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", key=name, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, windowsVirtualKeyCode=code)

    def screenshot(self) -> bytes:
        """A PNG of the whole page, however long."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"])

    def complaints(self) -> list[str]:
        """What the page's own console has heard that is wrong: errors, refusals by the policy, uncaught exceptions."""
        found = []
        for event in self._browser.events:
            params = event.get("params", {})
            if event.get("sessionId") != self._session:
                continue
            if event.get("method") == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                found.append(str(details.get("exception", {}).get("description", details.get("text"))))
            if event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        return found


@contextmanager
def chromium(home: Home, *flags: str) -> Iterator[Browser]:
    """A browser of the daemon's user, with a fresh profile."""
    place = Path(tempfile.mkdtemp(prefix="hublet-browser-"))  # where a browser without any of root's rights can be
    drop = []
    if AS_ROOT:
        os.chown(place, home.uid, home.uid)
        drop = without_rights(home.uid)
    given, to = os.pipe()
    back, taken = os.pipe()
    words = [
        *drop, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-extensions", "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={place}", *flags,
    ]  # fmt: skip
    log = home.path / "chromium.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, str(given), str(taken), *words],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", pass_fds=(given, taken), start_new_session=True,
            env={"HOME": str(place), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"},
        )  # fmt: skip
    os.close(given)
    os.close(taken)
    try:
        yield Browser(to, back)
    except AssertionError as error:
        error.add_note(log.read_text(errors="replace")[-2000:])
        raise
    finally:
        os.close(to)
        os.close(back)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        shutil.rmtree(place, ignore_errors=True)
