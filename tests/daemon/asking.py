"""Questions for a running daemon, asked by any user, many in one process; and what it keeps on disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from hublet.demo.assistants import chat
from hublet.demo.hub import Hub
from tests.running import Answer, Home, RunningDaemon, as_user, eventually

Question = tuple[str, str, bytes | None]


def names(*secrets: tuple[str, str], scope: str | None = None) -> bytes:
    """A sync-secrets body: (assistant, secret name) each."""
    fqsns = [
        {"packageSlugs": [dict(zip(("ownerSlug", "packageSlug"), slug.split("/"), strict=True))], "secretName": name}
        for slug, name in secrets
    ]
    return json.dumps({"fqsns": fqsns, "orgScopeId": scope}).encode()


SECRETS = names(("dana/local-chat", "LLM_KEY"), ("dana/rust-smith", "NOT_THERE"))

CACHED: tuple[Question, ...] = (
    ("GET", "/ide/list-assistants", None),
    ("GET", "/ide/get-assistant/dana/rust-smith", None),
    ("GET", "/ide/list-organizations", None),
    ("GET", "/ide/policy", None),
    ("GET", "/ide/free-trial-status", None),
    ("GET", "/ide/list-assistant-full-slugs", None),
    ("POST", "/ide/sync-secrets", SECRETS),
)
"""The seven operations that are answered from the cache."""

EVERYTHING: tuple[Question, ...] = (
    *CACHED,
    ("GET", "/ide/list-assistants?organizationId=org_acme", None),
    ("GET", "/ide/list-assistants?organizationId=org_initech&alwaysUseProxy=false", None),
    ("GET", "/ide/get-assistant/acme/backend-reviewer?organizationId=org_acme", None),
    ("GET", "/ide/get-assistant/continuedev/default-cli-config", None),
    ("GET", "/ide/list-assistant-full-slugs?organizationId=org_acme", None),
    ("POST", "/ide/sync-secrets", names(("acme/backend-reviewer", "ACME_OPENAI_KEY"), scope="org_acme")),
)

_ASK = """
import http.client, json, sys
host, port, questions = json.load(sys.stdin)
for method, path, body, headers in questions:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    said = {k.lower(): v for k, v in response.getheaders()}
    print(json.dumps([response.status, said, response.read().hex()]), flush=True)
    connection.close()
"""


def start_asking(
    daemon: RunningDaemon,
    questions: Iterable[Question],
    *,
    headers: Mapping[str, str] | None = None,
    uid: int | None = None,
    host: str = "localhost",
) -> subprocess.Popen[bytes]:
    """A process of the daemon's user (or of `uid`) that asks one after another; `answers` waits for it."""
    asked = [
        (method, path, body.decode() if body is not None else None, dict(headers or {}))
        for method, path, body in questions
    ]
    process = subprocess.Popen(
        [*as_user(daemon.home.uid if uid is None else uid), sys.executable, "-c", _ASK],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps([host, daemon.port, asked]).encode())
    process.stdin.close()
    process.stdin = None
    return process


def answers(process: subprocess.Popen[bytes]) -> list[Answer]:
    said, problem = process.communicate(timeout=60)
    assert process.returncode == 0, problem.decode()
    lines = [json.loads(line) for line in said.splitlines()]
    return [Answer(status, headers, bytes.fromhex(body)) for status, headers, body in lines]


def ask_all(
    daemon: RunningDaemon,
    questions: Iterable[Question] = CACHED,
    *,
    headers: Mapping[str, str] | None = None,
    uid: int | None = None,
    host: str = "localhost",
) -> list[Answer]:
    return answers(start_asking(daemon, questions, headers=headers, uid=uid, host=host))


def bodies(found: Iterable[Answer]) -> list[tuple[int, bytes]]:
    """What has to stay the same, byte for byte."""
    return [(answer.status, answer.body) for answer in found]


def cached(answer: Answer) -> bool:
    return "hublet; hit" in answer.headers.get("cache-status", "")


def message(answer: Answer) -> str:
    """The sentence of an error in the Hub's shape, its hint behind it."""
    value = answer.json()
    assert isinstance(value, dict)
    return " ".join(str(value[key]) for key in ("message", "hint") if key in value)


def status(home: Home) -> dict[str, object]:
    done = home.hublet("status", "--json")
    assert done.returncode == 0, done.stderr.decode()
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value


def free_port() -> int:
    """A port that is free on both families now: answers name it in icon addresses, so restarts have to keep it."""
    for _ in range(50):
        with socket.socket() as four, socket.socket(socket.AF_INET6) as six:
            four.bind(("127.0.0.1", 0))
            port: int = four.getsockname()[1]
            try:
                six.bind(("::1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free on both families")


def copied(template: Home, path: Path, settings: Mapping[str, Mapping[str, object]] | None = None) -> Home:
    """A copy of a home that is logged in: quicker than a login of its own."""
    shutil.copytree(template.path, path)
    home = Home(path)
    url = re.search(r"url: (\S+)", template.config.read_text())
    assert url
    home.configure(url[1], settings=settings)
    return home


def children(pid: int) -> list[int]:
    """The processes that a process has started: its workers."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def files_below(*places: Path) -> dict[Path, bytes]:
    """Every regular file below these directories and what is in it."""
    found = {}
    for place in places:
        for folder, _, inside in os.walk(place):
            for name in inside:
                path = Path(folder, name)
                if path.is_file() and not path.is_symlink():
                    found[path] = path.read_bytes()
    return found


UNLISTED = "acme/wanderer"


def unlisted(hub: Hub) -> str:
    """An assistant that is in no list, and the path to ask for it."""
    with hub.changing() as world:
        world.sources[UNLISTED] = chat("Wanderer", "http://localhost:1/v1")
    return f"/ide/get-assistant/{UNLISTED}"


def wait_for_pass(daemon: RunningDaemon) -> None:
    eventually(lambda: " hublet: pass: " in daemon.log.read_text())
