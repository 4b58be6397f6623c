"""Nothing secret leaves through a log or a crash: messages, arguments, tracebacks, at any level."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hublet.config.loading import load_config
from hublet.config.managed import Managed
from hublet.core.account import Account
from hublet.core.secretstr import SecretStr
from hublet.redaction import STARS, Redactor, watch
from hublet.serve.service import Service, Unavailable

CANARY = 'canary "quoted" schlüssel/7d0c'
SHORT = "9#k4"


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO, Redactor]]:
    """A logger of its own whose one handler redacts."""
    out = io.StringIO()
    redactor = Redactor()
    held = [SecretStr(CANARY), SecretStr(SHORT), SecretStr("ab"), SecretStr("")]
    redactor.watch(lambda: held, lambda: (held,))
    handler = logging.StreamHandler(out)
    handler.addFilter(redactor)
    logger = logging.Logger("test", logging.DEBUG)
    logger.addHandler(handler)
    yield logger, out, redactor
    handler.close()


def test_a_value_is_masked_wherever_it_stands(
    written: tuple[logging.Logger, io.StringIO, Redactor],
) -> None:
    """In the text, in arguments of any type, as JSON, as Python or in an address, and in bytes."""
    import json
    from urllib.parse import quote

    log, out, _ = written
    log.debug(CANARY)
    log.info("a %s b %r c %s", CANARY, {"k": CANARY}, CANARY.encode())
    log.error("%s and %s", json.dumps({"k": CANARY}), f"https://x/?q={quote(CANARY, safe='')}")
    log.warning("%(key)s", {"key": CANARY})
    said = out.getvalue()
    assert said.count(STARS) == 7
    for part in ("canary", "schl", "7d0c"):
        assert part not in said


def test_an_exceptions_text_is_masked(written: tuple[logging.Logger, io.StringIO, Redactor]) -> None:
    """With the one that it came from; the rest of the traceback stays."""
    log, out, _ = written
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as error:
            raise ValueError(f"no {CANARY}") from error
    except ValueError:
        log.exception("broken", stack_info=True)
    said = out.getvalue()
    assert "canary" not in said
    assert "ValueError: no **********" in said
    assert "test_an_exceptions_text_is_masked" in said


def test_short_values_are_masked_as_words_only(written: tuple[logging.Logger, io.StringIO, Redactor]) -> None:
    """As parts of words they would make logs unreadable. Values of one or two characters can not be kept secret."""
    log, out, redactor = written
    log.info("pin 9#k4, not x9#k4y; ab stays")
    assert out.getvalue() == f"pin {STARS}, not x9#k4y; ab stays\n"
    assert redactor.text("ab") == "ab"


def test_what_looks_like_a_key_is_masked_although_nobody_holds_it(
    written: tuple[logging.Logger, io.StringIO, Redactor],
) -> None:
    """A key that was mistyped, a token that was revoked, another program's bearer."""
    log, out, _ = written
    log.info("con_abcdefghijkl hublet_ABCDEFGHIJKLMNOP Authorization: Bearer eyJhbGciOi.x.y; hublet_is fine, con_1")
    assert out.getvalue() == f"con_{STARS} hublet_{STARS} Authorization: Bearer {STARS}; hublet_is fine, con_1\n"


def test_arguments_that_do_not_fit_are_not_shown(written: tuple[logging.Logger, io.StringIO, Redactor]) -> None:
    """logging itself would print them."""
    log, out, _ = written
    log.info("%d", CANARY)
    assert out.getvalue() == "%d (with arguments that do not fit it)\n"


def test_secrets_are_gathered_once_a_generation_and_the_last_ones_still_count() -> None:
    """A value that was just rotated may be in a message that is being written."""
    generations = [[SecretStr("first-secret")], [SecretStr("second-secret")], [SecretStr("third-secret")]]
    now, gathered = [0], []
    redactor = Redactor()

    def held() -> list[SecretStr]:
        gathered.append(now[0])
        return generations[now[0]]

    redactor.watch(held, lambda: (generations[now[0]],))
    text = "first-secret second-secret third-secret"
    for _ in range(3):
        assert redactor.text(text) == f"{STARS} second-secret third-secret"
    now[0] = 1
    assert redactor.text(text) == f"{STARS} {STARS} third-secret"
    now[0] = 2
    assert redactor.text(text) == f"first-secret {STARS} {STARS}"
    assert gathered == [0, 1, 2]


CRASH = """
import asyncio, logging, sys, threading
from hublet.running import log_to_stderr
from hublet.core.secretstr import SecretStr
held = [SecretStr(sys.stdin.read())]
redactor = log_to_stderr("debug")
redactor.watch(lambda: held, lambda: (held,))
redactor.install()
secret = held[0].reveal()

class Falls:
    def __del__(self):
        raise ValueError(secret)

async def fails():
    raise ValueError("in a task: " + secret)

async def work():
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: 1 / 0 if not secret else (_ for _ in ()).throw(ValueError("in a callback: " + secret)))
    task = loop.create_task(fails())
    await asyncio.sleep(0.01)
    del task

asyncio.run(work(), debug=True)
thread = threading.Thread(target=lambda: int(secret))
thread.start()
thread.join()
Falls()
logging.getLogger("x").debug("debug: %s", secret)
raise RuntimeError("at last: " + secret)
"""


def test_a_crash_says_everything_but_the_secret() -> None:
    """Uncaught in the main program, in a thread, in a task nobody waits for, in a callback and in a destructor."""
    done = subprocess.run(
        [sys.executable, "-c", CRASH], input=CANARY.encode(), capture_output=True, timeout=30, env={"PATH": "/usr/bin"}
    )
    said = done.stderr.decode()
    assert done.returncode == 1
    assert "canary" not in said
    assert "7d0c" not in said
    for sentence in (
        "in a task: *",
        "in a callback: *",
        "invalid literal",
        "ValueError: **",
        "debug: **",
        "at last: **",
    ):
        assert sentence in said, said


def test_it_costs_little() -> None:
    """Some hundred secrets, a line of usual length."""
    import time

    held = [SecretStr(f"some-secret-value-{n:04d}") for n in range(300)]
    redactor = Redactor()
    redactor.watch(lambda: held, lambda: (held,))
    record = logging.makeLogRecord({"msg": "pass: %d of %d answered", "args": (7, 7)})
    redactor.filter(record)
    begun = time.perf_counter()
    for _ in range(200):
        redactor.filter(logging.makeLogRecord({"msg": "pass: %d of %d answered, a line of text", "args": (7, 7)}))
    assert (time.perf_counter() - begun) / 200 < 0.005


def test_a_loop_without_a_service_is_no_error() -> None:
    """Before there is anything to know, only what looks like a secret is masked."""

    async def log() -> str:
        return Redactor().text("Bearer abcdefghijkl and more")

    assert asyncio.run(log()) == f"Bearer {STARS} and more"


def test_what_is_forgotten_is_let_go_of_here_as_well() -> None:
    """The redactor knows secrets in order to find them; of a cache that is forgotten it keeps none."""
    service = Service(load_config(None, Managed()))
    service.account = Account(SecretStr("con_canary-of-the-account"), "https://hub.example")
    redactor = Redactor()
    watch(redactor, service)
    assert redactor.text("it says con_canary-of-the-account") == f"it says {STARS}"
    assert "canary" in repr(vars(redactor)["_known"])
    asyncio.run(service.let_go(Unavailable("it is being forgotten")))
    for let_go in service.on_forgotten:
        let_go()
    assert "canary" not in repr({name: vars(redactor)[name] for name in ("_now", "_known", "_generation")})
