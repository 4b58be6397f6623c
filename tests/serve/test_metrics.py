"""The metrics, read by Prometheus' own parser; and the status as programs get it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from hublet.core import operations as ops
from hublet.core.telling import KINDS, READABLE, STATES
from hublet.demo.data import ACME, USER_SECRETS
from hublet.demo.faults import ErrorPage
from hublet.serve.metrics import ASKED, CONTENT_TYPE, Family, write
from tests.in_process import READER, InProcess, text, value
from tests.serve.synced import EVERY, ONE, fqsn, told

STATUS = "/hublet/v1/status"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(exposition: str) -> Samples:
    """Every sample by its name and labels; each at most once."""
    found: Samples = {}
    for family in text_string_to_metric_families(exposition):
        assert family.type in ("counter", "gauge"), family
        assert family.documentation
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


async def scraped(it: InProcess) -> Samples:
    response = await it.ask("GET", "/metrics", identity=READER)
    assert response.header("Content-Type") == CONTENT_TYPE
    return parsed(text(response))


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0.0)


# The format

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(_TEXTS, unique=True, max_size=4), st.floats(allow_nan=False), _TEXTS.filter(str.strip))
def test_whatever_a_label_says_it_is_read_back(values: list[str], number: float, documentation: str) -> None:
    """Quotes, backslashes, line ends, braces: one sample a label, with the number as it was."""
    samples = tuple(({"a": one, "b": "x"}, number) for one in values)
    written = write([Family("some_gauge", "gauge", documentation, samples)]).decode()
    found = {
        sample.labels["a"]: sample.value
        for family in text_string_to_metric_families(written)
        for sample in family.samples
    }
    assert found == dict.fromkeys(values, number)


@given(_TEXTS)
def test_a_label_never_ends_its_line(label: str) -> None:
    """Whatever it says: the format's line end and quote are escaped."""
    (_, _, line, rest) = write([Family("g", "gauge", "x", (({"a": label}, 1.0),))]).decode().split("\n")
    assert rest == ""
    inside = line.removeprefix('g{a="').removesuffix('"} 1')
    assert inside.replace("\\\\", "").replace('\\"', "").count('"') == 0


@pytest.mark.parametrize(
    ("number", "written"), [(1.0, "1"), (0.25, "0.25"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")]
)
def test_numbers_as_the_format_has_them(number: float, written: str) -> None:
    assert write([Family("g", "gauge", "x", (({}, number),))]).decode().splitlines()[-1] == f"g {written}"


# What is counted


def test_every_request_has_a_kind() -> None:
    """A new operation needs one too; the checkout is passed through and never counted here."""
    assert {*ASKED, ops.GetCheckoutUrl} == set(get_args(ops.Operation))


def test_requests_by_kind_and_grade(tmp_path: Path) -> None:
    """A miss by what was asked; what was answered from the cache is what the Hub was not asked for."""

    async def story(it: InProcess) -> None:
        await it.ask("GET", ONE)
        await it.ask("GET", ONE)
        it.clock.advance(EVERY * 2)
        with it.hub.failing(ErrorPage(502)):
            await it.sync.run_pass()
        await it.ask("GET", "/ide/policy")
        await it.ask("GET", "/ide/get-assistant/nobody/unheard-of")
        await it.ask("POST", "/ide/sync-secrets", {"fqsns": [fqsn("dana/local-chat", "LLM_KEY")], "orgScopeId": None})
        samples = await scraped(it)
        asked = "hublet_requests_total"
        assert of(samples, asked, kind="assistant", grade="fresh") == 2
        assert of(samples, asked, kind="policy", grade="stale") == 1
        assert of(samples, asked, kind="assistant", grade="miss") == 1
        assert of(samples, asked, kind="secret", grade="fresh") == 1
        assert of(samples, "hublet_requests_saved_total") == 4
        status = value(await it.ask("GET", STATUS))
        assert isinstance(status, dict)
        assert status["requests"]["answered_from_cache"] == 4
        assert status["requests"]["waited_for_hub"] == 1

    told(tmp_path, story)


def test_passes_outcomes_ages_and_states(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        before = await scraped(it)
        assert of(before, "hublet_passes_total", result="answered") == 1
        assert of(before, "hublet_state", state="ok") == 1
        assert of(before, "hublet_hub_outcomes_total", asked="list-assistants", outcome="answered") >= 3
        assert of(before, "hublet_age_seconds", kind="policy") == 0
        it.clock.advance(EVERY * 2)
        it.network.up = False
        await it.sync.run_pass()
        it.service.look()
        after = await scraped(it)
        assert of(after, "hublet_passes_total", result="failed") == 1
        assert of(after, "hublet_failures") == 1
        assert of(after, "hublet_hub_outcomes_total", asked="policy", outcome="unreachable") == 1
        assert of(after, "hublet_age_seconds", kind="policy") == EVERY * 2
        assert of(after, "hublet_records", kind="policy", grade="stale") == 1
        assert of(after, "hublet_uptime_seconds") == of(before, "hublet_uptime_seconds") + EVERY * 2
        assert of(after, "hublet_last_success_timestamp_seconds") == it.clock() - EVERY * 2
        assert {state: of(after, "hublet_state", state=state) for state in STATES if state != "offline"} == {
            state: 0 for state in STATES if state != "offline"
        }
        assert of(after, "hublet_state", state="offline") == 1
        assert of(after, "hublet_events_total", kind="offline") == 1
        assert {dict(labels)["kind"] for name, labels in after if name == "hublet_events_total"} <= set(KINDS)
        assert of(after, "hublet_store_size_bytes") > 10_000
        assert of(after, "process_resident_memory_bytes") > 1_000_000

    told(tmp_path, story)


def test_what_the_door_counts(tmp_path: Path) -> None:
    """Each count with its reason, also while it is still nought."""

    async def story(it: InProcess) -> None:
        door = it.service.door
        door.connections, door.evicted, door.malformed, door.requests = 5, 2, 1, 4
        samples = await scraped(it)
        assert of(samples, "hublet_connections_total") == 5
        assert of(samples, "hublet_http_requests_total") == 4
        closed = {dict(labels)["reason"]: value for (name, labels), value in samples.items() if "_closed_" in name}
        assert closed == {"evicted": 2, "timed_out": 0, "turned_away": 0}
        errors = {dict(labels)["error"]: value for (name, labels), value in samples.items() if "_errors_" in name}
        assert errors == {"failed": 0, "malformed": 1, "refused": 0}

    told(tmp_path, story)


def test_no_name_of_the_hubs_is_in_the_metrics(tmp_path: Path) -> None:
    """So they may go where the cache may not."""

    async def story(it: InProcess) -> None:
        await it.ask("GET", ONE)
        await it.ask("GET", f"/ide/list-assistants?organizationId={ACME}")
        said = text(await it.ask("GET", "/metrics"))
        for name in (*USER_SECRETS, *USER_SECRETS.values(), "dana", "rust-smith", ACME, "acme"):
            assert name not in said

    told(tmp_path, story)


# Status


def test_state_since_and_the_last_error(tmp_path: Path) -> None:
    """Since when follows each change of the state, also one that nobody asked for in between; the last error stays
    when it is over."""

    async def status(it: InProcess) -> dict[str, object]:
        found = value(await it.ask("GET", STATUS))
        assert isinstance(found, dict)
        return found

    async def story(it: InProcess) -> None:
        began = it.clock()
        assert (await status(it))["last_error"] is None
        it.clock.advance(100)
        it.network.up = False
        await it.sync.run_pass()
        it.clock.advance(50)
        found = await status(it)
        assert (found["state"], found["state_since"]) == ("offline", began + 100)
        error = found["last_error"]
        assert isinstance(error, dict)
        assert (error["kind"], error["at"]) == ("unreachable", began + 100)
        it.network.up = True
        await it.sync.run_pass()
        it.clock.advance(7)
        found = await status(it)
        assert (found["state"], found["state_since"], found["troubles"]) == ("ok", began + 150, [])
        assert found["last_error"] == error

    told(tmp_path, story)


def test_a_token_that_may_only_read_sees_no_secrets_name_and_nothing_of_this_machine(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        await it.ask("POST", "/ide/sync-secrets", {"fqsns": [fqsn("dana/x", "ONLY_MINE")], "orgScopeId": None})
        it.service.config_problems = ("/home/dana/config.yaml:1: hub.url: is wrong",)
        with it.hub.failing(ErrorPage(502), "/ide/sync-secrets"):
            await it.sync.run_pass(force=True)
        mine, read = text(await it.ask("GET", STATUS)), text(await it.ask("GET", STATUS, identity=READER))
        assert "ONLY_MINE" in mine
        assert "/home/dana" in mine
        for hidden in ("ONLY_MINE", "LLM_KEY", "/home/dana", "override"):
            assert hidden not in read
        whole, shown = json.loads(mine), json.loads(read)
        assert shown.keys() == whole.keys() & READABLE
        assert len(shown["troubles"]) == len(whole["troubles"])

    told(tmp_path, story)


def test_ready_only_while_the_data_is_young_enough(tmp_path: Path) -> None:
    """With serve.ready_within; without it any age will do."""

    async def story(it: InProcess) -> None:
        it.clock.advance(3600)
        assert (await it.ask("GET", "/readyz")).status == 200
        it.clock.advance(1)
        assert (await it.ask("GET", "/readyz")).status == 503
        await it.sync.run_pass()
        assert value(await it.ask("GET", "/readyz")) == {"status": "ready", "age": 0}

    async def any_age(it: InProcess) -> None:
        it.clock.advance(1e9)
        assert (await it.ask("GET", "/readyz")).status == 200

    for name, tell, settings in (("a", story, {"serve": {"ready_within": "1h"}}), ("b", any_age, {})):
        (tmp_path / name).mkdir()
        told(tmp_path / name, tell, settings=settings)
