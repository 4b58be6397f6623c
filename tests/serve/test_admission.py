"""What a refusal leaves behind, and who is let in at the Unix socket: no daemon, real sockets."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hublet.config.loading import Config, load_config
from hublet.core.account import Account
from hublet.core.messages import Head, Response
from hublet.core.secretstr import SecretStr
from hublet.door import tokens
from hublet.door import tokens as local_tokens
from hublet.door.application import Admitted, Connection
from hublet.door.audit import AuditFile
from hublet.door.peer import Peers, Verdict
from hublet.serve.admission import Admission, Identity
from hublet.serve.auditing import Audit
from hublet.serve.service import Service

NOW = 1_767_323_045.0
HOST = ("host", "localhost:3001")
TEXT, TOKEN = tokens.make("zed", "secrets", b"z" * 32, datetime.fromtimestamp(0, UTC))
WRONG = "hublet_" + "A" * 43
KEY = "con_" + "k" * 40


OPEN = ["/healthz", "/readyz", "/readyz?x=1", "/hublet/v1/proof/abc", "/icons/a.png"]


@dataclass
class Place:
    """An Admission whose kernel says what the test wants."""

    verdict: Verdict = Verdict.SAME_USER
    access: str = "either"
    because: str = ""
    uid: int = field(default_factory=os.getuid)

    def __post_init__(self) -> None:
        base = load_config(None)
        serve = replace(base.serve, access=cast("Any", self.access))
        self.config: Config = replace(base, serve=serve)
        self.service = Service(self.config, clock=lambda: NOW, port=3001, tokens=(TOKEN,))
        self.service.account = Account(SecretStr(KEY), "https://api.continue.dev")
        self.audit = Audit(AuditFile(Path("/nowhere/audit.log")), lambda: NOW, lambda _: "")
        self.service.audit = self.audit
        peers = SimpleNamespace(same_user=lambda _: self.verdict, peer_uid=lambda _: 64101, close=lambda: None)
        kernel = None if self.because else cast("Peers", peers)
        self.admission = Admission(self.service, peers=kernel, because=self.because, uid=self.uid)

    def tcp(self) -> Connection:
        """A connection of the API's port."""
        return cast("Connection", SimpleNamespace(family=socket.AF_INET, scratch=None, socket=None, hold_back=0.0))

    def ask(
        self, path: str = "/ide/policy", *headers: tuple[str, str], on: Connection | None = None
    ) -> Admitted | Response:
        return self.admission.admit(Head("GET", path, headers or (HOST,)), on or self.tcp())

    def noted(self) -> list[tuple[str, str]]:
        """(outcome, detail) of what was noted for the audit log."""
        return [(note.outcome, note.detail) for _, note in self.audit._recent]


def bearer(text: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {text}")


@pytest.fixture
def unix() -> Iterator[Connection]:
    """A connection of the Unix socket; the kernel says it is this very process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield cast("Connection", SimpleNamespace(family=socket.AF_UNIX, scratch=None, socket=ours, hold_back=0.0))


REFUSALS = [
    # rule, the place, what is sent
    ("host", Place(), [("host", "evil.example:3001")]),
    ("origin", Place(), [HOST, ("origin", "null")]),
    ("forwarded", Place(), [HOST, ("via", "1.1 x")]),
    ("other-user", Place(Verdict.OTHER_USER), [HOST]),
    ("gone", Place(Verdict.GONE), [HOST]),
    ("container", Place(Verdict.CONTAINER), [HOST]),
    ("unknown-cgroup", Place(Verdict.UNKNOWN_CGROUP), [HOST]),
    ("unaskable", Place(Verdict.UNASKABLE), [HOST]),
    ("no-token", Place(access="token"), [HOST]),
    ("no-token", Place(access="both"), [HOST, bearer("undefined")]),
    ("no-token", Place(because="we are root"), [HOST]),
    ("unknown-token", Place(Verdict.OTHER_USER), [HOST, bearer(WRONG)]),
    ("unknown-token", Place(access="token"), [HOST, bearer("con_guessed")]),
    ("unknown-token", Place(access="both"), [HOST, bearer(WRONG)]),
    ("unknown-token", Place(because="we are root"), [HOST, bearer(WRONG)]),
    ("other-user", Place(Verdict.OTHER_USER, access="both"), [HOST, bearer(TEXT)]),
]


@pytest.mark.parametrize(("rule", "place", "headers"), REFUSALS)
def test_each_refusal_has_its_counter_one_line_and_a_note(
    rule: str, place: Place, headers: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    """The line names the rule and nothing that was sent."""
    place = replace(place)
    with caplog.at_level(logging.DEBUG):
        answer = place.ask("/ide/get-assistant/acme/secret-plan?x=canary", *headers)
    assert isinstance(answer, Response)
    assert {key: count for key, count in place.service.counters.items() if key.startswith("refused")} == {
        f"refused:{rule}": 1
    }
    (record,) = caplog.records
    assert f"refused a request ({rule}) at the api door" in record.getMessage()
    assert not any(word in caplog.text for word in ("canary", "secret-plan", "hublet_", "con_", "evil", "Bearer"))
    assert place.noted() == [("refused", rule)]
    assert place.audit._recent[0][1].what == "get-assistant"


def test_the_other_users_number_is_told() -> None:
    """To the audit log; for other refusals nobody asks the kernel."""
    place = Place(Verdict.OTHER_USER)
    place.ask()
    assert place.audit._recent[0][1].who.uid == 64101


def test_only_tries_of_what_is_not_theirs_are_held_back() -> None:
    """Longer with each one; a client that merely lacks a token, or a web page, is told at once."""
    tries = {"unknown-token", "other-user"}
    for rule, place, headers in REFUSALS:
        connection = place.tcp()
        replace(place).ask("/ide/policy", *headers, on=connection)
        assert (connection.hold_back > 0) is (rule in tries), rule
    place, waits = Place(Verdict.OTHER_USER), []
    for _ in range(5):
        connection = place.tcp()
        place.ask("/ide/policy", HOST, bearer(WRONG), on=connection)
        waits.append(connection.hold_back)
    assert waits == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_a_flood_of_refusals_is_a_few_lines_and_a_number(caplog: pytest.LogCaptureFixture) -> None:
    """All are counted; the log says how many it left out when the door closes, at the latest."""
    place = Place(Verdict.OTHER_USER)
    for _ in range(1000):
        place.ask()
    assert len(caplog.records) == 5
    place.admission.close()
    assert place.service.counters["refused:other-user"] == 1000
    assert caplog.records[-1].getMessage() == "refused 995 more requests (other-user)"
    assert len(caplog.records) == 6


def test_a_wrong_token_gets_no_open_path_either() -> None:
    """Its answer to a right one tells more, so that tokens could be tried out there unbraked."""
    for place in (Place(Verdict.OTHER_USER), Place(access="token"), Place(because="we are root")):
        for path in ("/healthz", "/readyz", "/hublet/v1/proof/x"):
            connection = place.tcp()
            assert isinstance(place.ask(path, HOST, bearer(WRONG), on=connection), Response)
            assert connection.hold_back > 0
            assert isinstance(place.ask(path), Admitted)
    assert isinstance(Place().ask("/healthz", HOST, bearer(WRONG)), Admitted)  # the same user needs none


def test_who_was_let_in_is_known_to_the_audit_log() -> None:
    """Same user, a token by its name, the account's key."""
    place = Place()
    for headers, how, uid in (
        ((HOST,), "same-user", os.getuid()),
        ((HOST, bearer(TEXT)), "token:zed", None),
        ((HOST, bearer(KEY)), "account", None),
    ):
        admitted = place.ask("/ide/policy", *headers)
        assert isinstance(admitted, Admitted)
        assert isinstance(admitted.identity, Identity)
        assert (admitted.identity.who.door, admitted.identity.who.how, admitted.identity.who.uid) == ("api", how, uid)


# --- the Unix socket --------------------------------------------------------------------------------------------------

ACCESS = {
    # access: (without a token, with one, with a wrong one)
    "either": ("same-user", "token", "same-user"),
    "same-user": ("same-user", "same-user", "same-user"),
    "token": ("no-token", "token", "unknown-token"),
    "both": ("no-token", "token", "unknown-token"),
}


@pytest.mark.parametrize("access", ACCESS)
def test_our_own_user_at_the_unix_socket(access: str, unix: Connection) -> None:
    """serve.access holds there as well; no Host has to be named, and TCP's kernel question is not asked."""
    place = Place(Verdict.OTHER_USER, access=access, because="we are root")
    for headers, expected in zip(((), (bearer(TEXT),), (bearer(WRONG),)), ACCESS[access], strict=True):
        answer = place.admission.admit(Head("GET", "/ide/policy", headers), unix)
        if isinstance(answer, Admitted):
            assert isinstance(answer.identity, Identity)
            assert answer.identity.how == expected
            assert answer.identity.clear
            who = answer.identity.who
            assert (who.door, who.uid, who.pid) == ("socket", os.getuid(), os.getpid())
            assert who.program == Path("/proc/self/comm").read_text().strip()
        else:
            assert place.noted()[-1] == ("refused", expected)


@pytest.mark.parametrize("path", ["/ide/policy", "/healthz", "/readyz", "/hublet/v1/proof/x", "/icons/x", "*"])
def test_another_user_at_the_unix_socket_gets_nothing(path: str, unix: Connection) -> None:
    """Not with a token, and not an open path: there is no business of theirs here."""
    place = Place(uid=os.getuid() + 1)
    answer = place.admission.admit(Head("GET", path, (bearer(TEXT),)), unix)
    assert isinstance(answer, Response)
    assert answer.status == 403
    assert place.noted() == [("refused", "other-user")]
    assert unix.hold_back > 0


def test_the_guard_stands_at_the_unix_socket_too(unix: Connection) -> None:
    """Browsers, proxies and upgrades; only the Host is nobody's business."""
    place = Place()
    for header in (("origin", "null"), ("via", "1.1 x"), ("upgrade", "websocket"), ("user-agent", "Mozilla/5.0")):
        assert isinstance(place.admission.admit(Head("GET", "/ide/policy", (header,)), unix), Response)
    assert isinstance(place.admission.admit(Head("GET", "/ide/policy", (("host", "anything"),)), unix), Admitted)


def test_a_socket_whose_peer_cannot_be_told_admits_nobody(unix: Connection) -> None:
    """An error is not the same user."""
    ours, theirs = socket.socketpair()
    ours.close()
    theirs.close()
    unix.socket = ours
    assert isinstance(Place().admission.admit(Head("GET", "/ide/policy"), unix), Response)


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize(
    "header", [("content-length", "1"), ("content-length", "10"), ("transfer-encoding", "chunked")]
)
@pytest.mark.parametrize("where", [Place(Verdict.OTHER_USER), Place(because="we are root"), Place(access="token")])
def test_nobody_has_a_body_read_on_an_open_path(path: str, header: tuple[str, str], where: Place) -> None:
    """Other users and containers could fill the memory with them."""
    place = replace(where)
    answer = place.ask(path, HOST, header)
    assert isinstance(answer, Response)
    assert answer.status == 413
    assert place.service.counters["refused:body"] == 1
    assert place.noted() == [("refused", "body")]


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("headers", [[], [("content-length", "0")], [("content-length", "00")]])
def test_without_a_body_anybody_is_answered_on_an_open_path(path: str, headers: list[tuple[str, str]]) -> None:
    """And the door may close the connection whenever it needs the room."""
    answer = Place(Verdict.OTHER_USER).ask(path, HOST, *headers)
    assert isinstance(answer, Admitted)
    assert not answer.known
    assert not cast("Identity", answer.identity).known


def test_who_is_known_may_send_a_body_anywhere_but_with_an_icon() -> None:
    """It is answered 405 there; what matters is that only the user's own programs can take up memory with it."""
    for path in ("/healthz", "/readyz", "/hublet/v1/proof/abc", "/ide/policy"):
        answer = Place().ask(path, HOST, ("content-length", "5"))
        assert isinstance(answer, Admitted)
        assert answer.known
    assert isinstance(Place().ask("/icons/a.png", HOST, ("content-length", "5")), Response)


def test_a_token_of_a_scope_that_is_gone_is_still_read() -> None:
    """`admin` could be chosen once and allowed what `secrets` allows. A scope that never was is no token."""
    kept = [local_tokens.to_plain(TOKEN) | {"scope": scope} for scope in ("read", "secrets", "admin", "write")]
    assert local_tokens.all_from_plain(kept) == (replace(TOKEN, scope="read"), TOKEN, TOKEN)
