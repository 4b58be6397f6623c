"""schemathesis makes requests up from hublet's own document, sensible ones and others, for a running daemon.

No answer may have a status, a content type, a header or a body that is not declared. The event stream does not end, and
has its test in test_described.py; what is passed through is the Hub's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from tests.describe.holding import DOCUMENT
from tests.running import Home, RunningDaemon, eventually

pytestmark = pytest.mark.slow

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
KEY = {"Authorization": f"Bearer {DEMO_KEY}"}
OPERATIONS = [
    (method.upper(), path)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    if "passed through" not in operation["tags"] and path != "/hublet/v1/events"
]
load_all_checks()
CONFORMANCE = CHECKS.get_by_names(
    [
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
    ]
)


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[RunningDaemon]:
    place = tmp_path_factory.mktemp("described")
    place.chmod(0o755)
    home = Home.make(place / "home", hub.url)
    home.login(DEMO_KEY)
    with home.daemon() as daemon:
        eventually(lambda: " hublet: pass: " in daemon.log.read_text())
        yield daemon


@pytest.fixture(scope="module")
def offline(online: RunningDaemon, hub: HubServer) -> RunningDaemon:
    """The same one after its Hub has ended. The tests that need the Hub come first."""
    hub.stop()
    return online


def requests(daemon: RunningDaemon, operation: tuple[str, str], examples: int) -> None:
    method, path = operation
    described = SCHEMA[path][method]
    modes = [described.as_strategy(generation_mode=GenerationMode.POSITIVE)]
    if "parameters" in DOCUMENT["paths"][path][method.lower()]:
        modes.append(described.as_strategy(generation_mode=GenerationMode.NEGATIVE))

    @seed(1)
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=st.one_of(modes))
    def hold(case: schemathesis.Case) -> None:
        case.call_and_validate(daemon.url, headers=KEY, checks=CONFORMANCE)

    hold()


@pytest.mark.parametrize("operation", OPERATIONS, ids="".join)
def test_with_the_hub(online: RunningDaemon, operation: tuple[str, str]) -> None:
    """Fewer requests: each new name is asked of the Hub by a worker of its own."""
    requests(online, operation, 8)


@pytest.mark.parametrize("operation", OPERATIONS, ids="".join)
def test_without_the_hub(offline: RunningDaemon, operation: tuple[str, str]) -> None:
    requests(offline, operation, 40)


def test_these_checks_can_fail(offline: RunningDaemon) -> None:
    """With another type in the document, or a status less, the same answers are violations."""
    spoilt = schemathesis.openapi.from_dict(
        DOCUMENT
        | {
            "paths": {
                "/healthz": {"get": {"responses": {"404": {"description": "none"}}}},
                "/readyz": {"get": {"responses": {"200": _ANOTHER}}},
            }
        }
    )
    for path, failure in (("/healthz", "UndefinedStatusCode"), ("/readyz", "JsonSchemaError")):
        with pytest.raises(FailureGroup) as caught:
            spoilt[path]["GET"].Case().call_and_validate(offline.url, headers=KEY, checks=CONFORMANCE)
        assert failure in [type(each).__name__ for each in caught.value.exceptions]


_ANOTHER = {
    "description": "another",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}},
}
