"""One question to a Hub: the headers that ask, and what is made of the answer and its validators."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core import operations as ops
from hublet.core.outcomes import Malformed, NotModified, Outcome, Throttled
from hublet.core.secretstr import SecretStr
from hublet.core.validators import Validator
from hublet.upstream.http import HubClient, Said
from hublet.upstream.order import Hub
from hublet.upstream.validating import LONGEST, validator_of


def ask(
    answer: httpx.Response, validator: Validator | None = None, operation: ops.Operation | None = None
) -> tuple[Outcome | Said, httpx.Headers]:
    """What the client of the Hub makes of an answer, and the headers that it sent."""
    operation = operation or ops.GetPolicy()
    sent: list[httpx.Headers] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers)
        stream = httpx.ByteStream(answer.content)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream)

    async def asking() -> Outcome | Said:
        hub = Hub("http://localhost:1", SecretStr("con_x"))
        validators = {operation: validator} if validator else {}
        async with HubClient(hub, validators, transport=httpx.MockTransport(handle)) as client:
            return await client.ask(operation)

    return asyncio.run(asking()), sent[0]


@pytest.mark.parametrize(("text", "seconds"), [("17", 17.0), ("¹7", None), ("١٧", None), ("-17", None), ("soon", None)])
def test_a_time_to_wait_is_told_in_digits_or_not_at_all(text: str, seconds: float | None) -> None:
    """`str.isdigit` is true for characters of which no number can be made, and one bad header must not cost a pass."""
    answer = httpx.Response(503, headers={"retry-after": text.encode("utf-8")})
    assert ask(answer)[0] == Throttled(seconds)
    answer = httpx.Response(503, headers={"retry-after": text.encode("latin-1", "replace")})
    assert isinstance(ask(answer)[0], Throttled)


def test_a_304_that_was_not_asked_for_is_malformed() -> None:
    """So is one with another ETag than was sent. One without an ETag, or with the weak form of it, is right."""
    tag = Validator("us", '"a"')
    for validator, headers, expected in (
        (None, {}, Malformed),
        (None, {"ETag": '"a"'}, Malformed),
        (tag, {"ETag": '"b"'}, Malformed),
        (tag, {}, NotModified),
        (tag, {"ETag": 'W/"a"'}, NotModified),
        (Validator("us", None, "Mon, 01 Jan 2024 00:00:00 GMT"), {"ETag": '"b"'}, NotModified),
    ):
        outcome, _ = ask(httpx.Response(304, headers=headers), validator)
        assert isinstance(outcome, expected), (validator, headers)


def test_the_headers_that_ask() -> None:
    """The ETag goes before the date; without a validator neither is sent; never with a POST. Nothing is superfluous."""
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    fine = httpx.Response(200, json={"policy": None})
    for validator, etag, modified in (
        (Validator("us", 'W/"a"', date), 'W/"a"', None),
        (Validator("us", None, date), None, date),
        (None, None, None),
    ):
        _, sent = ask(fine, validator)
        assert (sent.get("if-none-match"), sent.get("if-modified-since")) == (etag, modified)
        assert sent["accept-encoding"] == "gzip"
        assert sent.keys() - {"if-none-match", "if-modified-since"} == {
            "host", "user-agent", "accept", "accept-encoding", "authorization",
        }  # fmt: skip
    secrets, _ = ask(httpx.Response(200, json=[], headers={"ETag": '"a"'}), operation=ops.SyncSecrets.of(None, ()))
    assert isinstance(secrets, Said)
    assert secrets.validator is None


@pytest.mark.parametrize(
    "etag",
    ["", "a", '"a', 'W/a"', 'w/"a"', '"a"b"', '"a", "b"', '"a b"', '"\x7f"', '"\xe9"', '"' + "a" * LONGEST + '"', "*"],
)
def test_an_etag_that_is_none_is_not_kept(etag: str) -> None:
    """Nor is a date beside it: a Hub that writes one of them wrongly may write the other wrongly."""
    assert validator_of({"etag": etag, **DATES}, "us") is None


DATES = {"last-modified": "Mon, 01 Jan 2024 00:00:00 GMT", "date": "Mon, 01 Jan 2024 00:01:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        (DATES, True),
        (DATES | {"date": "Mon, 01 Jan 2024 00:00:59 GMT"}, False),
        ({"last-modified": DATES["last-modified"]}, False),
        (DATES | {"last-modified": "yesterday"}, False),
        (DATES | {"last-modified": "Mon, 99 Jan 2024 00:00:00 GMT"}, False),
        (DATES | {"last-modified": DATES["last-modified"] + "\r\nA: b"}, False),
        ({}, False),
    ],
)
def test_a_date_counts_when_nothing_more_can_have_happened_in_its_second(headers: dict[str, str], kept: bool) -> None:
    assert (validator_of(headers, "us") is not None) is kept


@given(st.dictionaries(st.sampled_from(["etag", "last-modified", "date"]), st.text(max_size=300)))
def test_whatever_a_hub_writes_what_goes_back_is_a_header(headers: dict[str, str]) -> None:
    """It is short, visible, on one line, and the very text that came."""
    validator = validator_of(headers, "us")
    if validator is not None:
        _, value = validator.header()
        assert value in headers.values()
        assert len(value) <= LONGEST
        assert value.isascii()
        assert value.isprintable()


@given(st.from_regex(r'(W/)?"[!#-~]{0,250}"', fullmatch=True))
def test_every_etag_of_the_rfc_is_kept_as_it_came(etag: str) -> None:
    assert validator_of({"etag": etag}, "us") == Validator("us", etag)
