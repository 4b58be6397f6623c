"""One browser gets in, once, by a code that is good for a while; and what it gets counts in two halves only."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.messages import Head
from hublet.door.application import Admitted, Connection
from hublet.ui.admission import CODE_LIFE, Admission, NotAdmitted, Session
from hublet.ui.asking import Daemon
from hublet.ui.examining import Doctor
from hublet.ui.page import Page

PORT = 4711


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def head(*headers: tuple[str, str]) -> Head:
    return Head("GET", "/api/status", headers)


def both(admission: Admission, session: Session) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("cookie", f"{admission.cookie_name}={session.cookie}"), ("hublet-page", session.word)


def test_the_code_counts_once() -> None:
    """Whoever comes second is told so, and gets nothing; the first one stays."""
    admission = Admission(PORT, Clock())
    session = admission.take(admission.code)
    with pytest.raises(NotAdmitted, match="has been used") as caught:
        admission.take(admission.code)
    assert "hublet ui" in caught.value.hint
    assert admission.knows(head(*both(admission, session)))


def test_the_code_is_good_for_five_minutes() -> None:
    """To the second; then nobody comes in any more."""
    clock = Clock()
    admission = Admission(PORT, clock)
    clock.now += CODE_LIFE - 0.1
    assert not admission.late
    clock.now += 0.1
    assert admission.late
    with pytest.raises(NotAdmitted, match="too old"):
        admission.take(admission.code)


def test_a_session_outlives_its_code() -> None:
    """It ends with the process, not with the code's time."""
    clock = Clock()
    admission = Admission(PORT, clock)
    session = admission.take(admission.code)
    clock.now += 10 * CODE_LIFE
    assert admission.knows(head(*both(admission, session)))
    assert not admission.late


@given(st.text())
def test_no_other_text_is_the_code(text: str) -> None:
    """Neither a part of it nor more than it; and a wrong one spoils nothing for the right one."""
    admission = Admission(PORT, Clock())
    for wrong in {text, admission.code[:-1], admission.code + text, ""} - {admission.code}:
        with pytest.raises(NotAdmitted, match="not one of this page"):
            admission.take(wrong)
    admission.take(admission.code)


def test_code_and_session_are_256_random_bits_each() -> None:
    """In URL-safe base64, each another; and they show in no repr."""
    admissions = [Admission(PORT, Clock()) for _ in range(20)]
    sessions = [admission.take(admission.code) for admission in admissions]
    words = {admission.code for admission in admissions} | {s.cookie for s in sessions} | {s.word for s in sessions}
    assert len(words) == 60
    assert {len(word) for word in words} == {43}
    assert sessions[0].cookie not in repr(sessions[0])
    assert sessions[0].word not in repr(sessions[0])


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    """Named for the port, since cookies do not know ports."""
    admission = Admission(PORT, Clock())
    session = admission.take(admission.code)
    name, *rest = admission.set_cookie(session).split("; ")
    assert name == f"hublet-ui-{PORT}={session.cookie}"
    assert rest == ["Path=/", "HttpOnly", "SameSite=Strict"]


def test_each_half_alone_opens_nothing() -> None:
    """The cookie, which a server at another port gets to see; the word, without the browser that has the cookie."""
    admission = Admission(PORT, Clock())
    session = admission.take(admission.code)
    cookie, word = both(admission, session)
    assert admission.knows(head(cookie, word))
    for headers in ((), (cookie,), (word,), (cookie, ("hublet-page", session.cookie)), (cookie, ("hublet-page", ""))):
        assert not admission.knows(head(*headers))


def test_what_is_said_twice_is_not_believed() -> None:
    """Two cookies of the name or two words: a reader that took the first and one that took the last would differ."""
    admission = Admission(PORT, Clock())
    cookie, word = both(admission, admission.take(admission.code))
    assert not admission.knows(head(cookie, cookie, word))
    assert not admission.knows(head(("cookie", f"{cookie[1]}; {cookie[1]}"), word))
    assert not admission.knows(head(cookie, word, word))


def test_cookies_of_others_do_not_matter() -> None:
    """Other programs of this machine set theirs for the same name `localhost`."""
    admission = Admission(PORT, Clock())
    cookie, word = both(admission, admission.take(admission.code))
    others = f"theme=dark; hublet-ui-{PORT + 1}=x; {cookie[1]}; _xsrf=2|a=b; ="
    assert admission.knows(head(("cookie", others), word))


@given(st.lists(st.tuples(st.sampled_from(["cookie", "hublet-page"]), st.text(max_size=60)), max_size=5))
def test_nothing_is_known_before_the_code_was_used_nor_by_chance(headers: list[tuple[str, str]]) -> None:
    """Whatever cookies and words somebody makes up, empty ones too."""
    admission = Admission(PORT, Clock())
    empty = (("cookie", f"{admission.cookie_name}="), ("hublet-page", ""))
    assert not admission.knows(head(*headers))
    assert not admission.knows(head(*empty))
    admission.take(admission.code)
    assert not admission.knows(head(*headers))
    assert not admission.knows(head(*empty))


def test_only_the_browser_that_is_in_keeps_its_connection_when_room_is_needed() -> None:
    """The files and the exchange of the code are for anybody who may connect; their connections are closed first."""
    admission = Admission(PORT, Clock())
    session = admission.take(admission.code)
    page = Page(PORT, admission, Daemon(Path("/nonexistent")), Doctor(None))
    host = ("host", f"localhost:{PORT}")
    connection = cast("Connection", SimpleNamespace(scratch=None))
    asked = {
        "/": Head("GET", "/", (host,)),
        "/session": Head(
            "POST", "/session",
            (host, ("origin", f"http://{host[1]}"), ("content-type", "application/json")),
        ),
        "/api/status": Head("GET", "/api/status", (host, *both(admission, session))),
    }  # fmt: skip
    known = {}
    for path, each in asked.items():
        admitted = page.admit(each, connection)
        assert isinstance(admitted, Admitted), path
        known[path] = admitted.known
    assert known == {"/": False, "/session": False, "/api/status": True}
