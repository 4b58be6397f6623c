"""The state machine: what can happen to a hublet and its Hub, one step each, and what clients see of it.

The real Sync, Snapshot, Api and sealed store (on a disk, in its own folder), the real client of the Hub (httpx with
the demo Hub as its transport) and the demo Hub with its faults. Only the clock is pretended.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.faults.choices import OPERATIONS, OTHERS, PLACES, POLICIES, SCOPES, TIMES
from tests.faults.seen_by_clients import INTERVAL, LONGEST_WAIT, Expected, View
from tests.faults.small_world import (
    ACME,
    BROKEN,
    CANARY,
    FAULTS,
    INITECH,
    NAMES,
    organization,
    small_world,
    source,
)
from tests.faults.watched_hub import REPORT, Network, Report, WatchedHub
from tests.in_process import READER, Clock, InProcess, in_process

from hublet.core import operations as ops
from hublet.core.account import Account, origin_of
from hublet.core.errors import StoreError
from hublet.core.messages import Response
from hublet.core.outcomes import PassReport
from hublet.core.questions import Everything, Organizations, Roster
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Answer
from hublet.demo.data import DEMO_KEY
from hublet.demo.reply import Fault
from hublet.serve.admission import SAME_USER
from hublet.upstream.order import Ordered, made

T = TypeVar("T")
COUNTS: Counter[str] = Counter()
"""What all machines have done so far: steps, and how often each thing happened."""


class Hublet(RuleBasedStateMachine):
    """One hublet's life."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(prefix="hublet-model-", dir=_quick_disk()))
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.latest = self.clock.now
        self.hub = WatchedHub(clock=self.clock, world=small_world(), validators=True)
        self.expected = Expected()
        self.saved = Expected()
        self.disk = "works"
        self.is_saved = True
        self.forced = False
        self.steps = self.well_at = self.looked_at = 0
        self.troubles: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.troubles.append(str(context)))
        COUNTS["lives"] += 1
        self._open()
        self._run(self.it.log_in())

    # Around

    def _run(self, work: Awaitable[T]) -> T:
        async def settled() -> T:
            try:
                return await work
            finally:
                while waiting := [*filter(None, [self.sync.refreshing.task]), *self.sync._asking.values()]:
                    await asyncio.gather(*waiting, return_exceptions=True)

        return self.loop.run_until_complete(settled())

    def _open(self) -> None:
        settings = {"hub": {"size_limit": "64KiB"}}
        self.context = in_process(self.path, hub=self.hub, clock=self.clock, settings=settings, transport=Network)
        self.it: InProcess = self.loop.run_until_complete(self.context.__aenter__())
        self.sync = self.it.sync
        self.network = self.it.network
        assert isinstance(self.network, Network)
        carry_out = self.sync._run
        brought: deque[Report] = deque()

        async def watched(ordered: Ordered, say: Any) -> PassReport:
            """Keeps what came off the network, for the model."""
            order = await made(ordered)
            wait = self.expected.not_before - self.clock.now
            if 0 < wait <= LONGEST_WAIT and not self.forced:
                self.troubles.append(f"asked {wait} s before the Hub wanted to be asked again")
            report = Report(order.whole)
            REPORT.set(report)
            found = await carry_out(order, say)
            brought.append(report)
            return found

        def published(_: object) -> None:
            """Reports are judged in the order in which they came; from this very moment on clients see what follows."""
            if brought:
                report = brought.popleft()
                self.expected.hears(report.deliveries, self.clock.now, whole=report.whole)
                COUNTS["reports"] += 1

        self.sync._run = watched
        self.sync.on_change.append(published)
        archive = self.it.service.archive
        assert archive is not None
        save = archive.save

        def saved(*what: Any, **how: Any) -> None:
            self.is_saved = self.disk != "full"
            if not self.is_saved:
                raise StoreError("the disk is full")
            save(*what, **how)
            if self.disk == "fails late":  # the COMMIT is on the disk, and an error is said all the same
                raise StoreError("the disk is odd")

        archive.save = saved  # type: ignore[method-assign]

    def _close(self) -> None:
        self.loop.run_until_complete(self.it.service.audit.close())  # type: ignore[union-attr]
        self.loop.run_until_complete(self.context.__aexit__(None, None, None))

    def teardown(self) -> None:
        COUNTS["answers of the Hub that were a 304"] += self.hub.spared
        try:
            self._scan()
            self._close()
            self._scan()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            shutil.rmtree(self.path)

    def _scan(self) -> None:
        """Nothing of the Hub stands anywhere on the disk."""
        COUNTS["scans"] += 1
        for file in self.path.rglob("*"):
            data = file.read_bytes() if file.is_file() else b""
            for word in (CANARY, DEMO_KEY, "acme/b0", "allowMcp", "openai"):
                assert word.encode() not in data, f"{word} stands in {file.name}"

    @invariant()
    def nothing_is_asked_twice_at_once_or_too_soon(self) -> None:
        COUNTS["steps"] += 1
        self.steps += 1
        assert not self.troubles, self.troubles
        assert not self.network.twice, self.network.twice  # type: ignore[attr-defined]
        if self.is_saved:
            self.saved = self.expected.kept()
        if self.steps % 25 == 0:
            self._scan()

    def _see(self, operation: ops.Operation, response: Response, *, clear: bool) -> None:
        """Show one answer to the model."""
        body = response.body
        assert isinstance(body, bytes)
        is_bytes = isinstance(operation, ops.DownloadPackage) and response.status == 200
        headers = {name.lower(): text for name, text in response.headers}
        value = body.hex() if is_bytes else json.loads(body)
        view = View(self.clock.now, not clear, self.sync.snapshot.locked, self.latest)
        self.expected.may_see(operation, response.status, int(headers.get("age", 0)), value, view)
        COUNTS["answers"] += 1
        COUNTS[f"answers of {response.status}"] += 1

    async def _ask(self, operation: ops.Operation, *, clear: bool = True) -> Response:
        """One request of a client, whose answer is judged in the moment in which it is given."""
        call = ops.write(operation)
        response = await self.it.ask(call.method, call.target, call.body, identity=SAME_USER if clear else READER)
        self._see(operation, response, clear=clear)
        return response

    # Clients

    @rule(validators=st.booleans())
    def the_hub_gives_validators_or_not(self, validators: bool) -> None:
        self.hub.validators = validators

    @rule(operation=st.sampled_from(OPERATIONS), clear=st.booleans())
    def a_client_asks(self, operation: ops.Operation, clear: bool) -> None:
        self._run(self._ask(operation, clear=clear))

    @precondition(lambda self: self.steps - self.looked_at >= 8)
    @rule()
    def all_that_is_cached_is_looked_at(self) -> None:
        self.looked_at = self.steps
        for operation in OPERATIONS:
            if isinstance(self.sync.snapshot.answer(operation, clear=True), Answer):
                self.a_client_asks(operation, True)
                self.a_client_asks(operation, False)

    @rule(operations=st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=4), a_pass=st.booleans())
    def many_clients_ask_at_once(self, operations: list[ops.Operation], a_pass: bool) -> None:
        """While the Hub takes its time: each asked for twice, perhaps during a pass."""

        async def all_at_once() -> None:
            self.network.gate.clear()
            tasks: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(self._ask(operation)) for operation in (*operations, *operations)
            ]
            if a_pass:
                tasks.append(asyncio.ensure_future(self.sync.run_pass()))
            for _ in range(20):
                await asyncio.sleep(0)
            self.network.gate.set()
            await asyncio.gather(*tasks)

        self._run(all_at_once())

    # The daemon and its user

    @rule(force=st.booleans())
    def a_pass_runs(self, force: bool) -> None:
        self.forced = force
        self._run(self.sync.run_pass(force=force))
        self.forced = False
        COUNTS["passes"] += 1

    @rule(fresh=st.booleans())
    def the_user_logs_in(self, fresh: bool) -> None:
        if fresh:
            self.expected = Expected()
            self._run(self.sync.start_over())
        account = Account(SecretStr(DEMO_KEY), origin_of(self.it.service.config.hub.url))
        self._run(self.it.service.keep_account(account))

    @rule()
    def the_user_locks(self) -> None:
        self._run(self.sync.lock())
        self.expected.locked = {"asked"}

    @rule()
    def the_user_unlocks(self) -> None:
        self._run(self.sync.unlock())
        self.expected.locked, self.expected.refused_at = set(), None

    @precondition(lambda self: self.sync.state.ledger.held)
    @rule(data=st.data())
    def the_user_accepts(self, data: st.DataObject) -> None:
        question = data.draw(st.sampled_from(sorted(self.sync.state.ledger.held, key=str)))
        assert isinstance(question, Roster | Organizations | Everything)
        self.expected.accepts(question)
        self._run(self.sync.accept(question))

    @rule()
    def the_daemon_restarts(self) -> None:
        """What could not be saved is lost with it, and nothing else."""
        self._close()
        self._open()
        self.expected = self.saved.kept()

    @rule(how=st.sampled_from(["works", "works", "full", "fails late"]))
    def the_disk_changes(self, how: str) -> None:
        self.disk = how

    @rule()
    def the_heart_beats(self) -> None:
        self.sync.republish_if_due()
        if self.it.service.archive is not None and self.it.service.archive.untidy:
            self._run(self.sync.tidy())

    # The world

    @rule(seconds=st.sampled_from(TIMES))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.latest = max(self.latest, self.clock.now)

    @rule(seconds=st.sampled_from([-1, -500, -5000]))
    def the_clock_is_set_back(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(fault=st.sampled_from(FAULTS), place=st.sampled_from(PLACES), times=st.sampled_from([None, 1, 3]))
    def a_fault_begins(self, fault: Fault, place: str, times: int | None) -> None:
        self.hub.inject(fault, place, times=times)
        COUNTS[f"fault {type(fault).__name__}"] += 1

    @rule()
    def the_faults_end(self) -> None:
        self.hub.heal()
        self.network.up = True

    @rule(up=st.booleans())
    def the_network_comes_and_goes(self, up: bool) -> None:
        self.network.up = up

    @rule(up=st.booleans())
    def the_key_is_revoked_or_accepted(self, up: bool) -> None:
        if up:
            self.hub.accept_key(DEMO_KEY)
        else:
            self.hub.revoke_key(DEMO_KEY)

    @rule(exists=st.booleans())
    def the_account_is_known_or_not(self, exists: bool) -> None:
        self.hub.account_exists = exists

    @rule(scope=st.sampled_from(SCOPES), number=st.integers(0, 6), version=st.integers(0, 3))
    def an_assistant_is_added_or_edited(self, scope: str | None, number: int, version: int) -> None:
        slug = f"{'ada/a' if scope is None else 'acme/b' if scope == ACME else 'initech/c'}{number}"
        if scope is None or scope in self.hub.world.organizations:
            text = BROKEN if version == 3 else source(slug, version, NAMES[version], uses=number == 0)
            self.hub.put_assistant(slug, text, scopes=(scope,))

    @rule(scope=st.sampled_from(SCOPES), which=st.lists(st.integers(0, 6), max_size=6, unique=True))
    def assistants_are_removed(self, scope: str | None, which: list[int]) -> None:
        world = self.hub.world
        if scope is None or scope in world.organizations:
            roster = world.roster if scope is None else world.organizations[scope].roster
            for slug in [roster[index] for index in which if index < len(roster)]:
                self.hub.remove_assistant(slug)

    @rule(which=st.sampled_from([ACME, INITECH, OTHERS]))
    def an_organization_is_lost_or_gained(self, which: str) -> None:
        world = self.hub.world
        if which in world.organizations:
            self.hub.remove_organization(which)
        else:
            prefix = {ACME: "acme/b", INITECH: "initech/c"}.get(which)
            self.hub.add_organization(
                organization(which, *(slug for slug in world.sources if slug.startswith(prefix or " ")))
            )

    @rule(policy=st.sampled_from(POLICIES))
    def the_policy_changes(self, policy: dict[str, object] | None) -> None:
        self.hub.set_policy(policy, "acme")

    @rule(name=st.sampled_from(NAMES), version=st.integers(0, 3))
    def a_secret_is_rotated_or_removed(self, name: str, version: int) -> None:
        if version == 3:
            self.hub.remove_secret(name)
        else:
            self.hub.set_secret(name, f"{CANARY}{name}-{version}")

    @precondition(lambda self: self.steps - self.well_at >= 12)
    @rule()
    def all_is_well_for_a_while(self) -> None:
        """Two undisturbed passes an interval apart: clients see exactly what the Hub says now, but for what is held."""
        self.hub.heal()
        self.hub.accept_key(DEMO_KEY)
        self.hub.account_exists = self.network.up = True
        self.disk = "works"
        self.the_user_unlocks()
        for _ in range(2):
            self.time_passes(int(INTERVAL) + 1)
            self.a_pass_runs(force=True)
        self.well_at = self.steps
        COUNTS["times all was well"] += 1
        for operation in OPERATIONS:
            self._sees_the_truth(operation)

    def _sees_the_truth(self, operation: ops.Operation) -> None:
        match operation:
            case ops.ListAssistants(scope, proxied):
                is_open = proxied or scope == OTHERS or (scope, False) in self.expected.held
            case ops.GetPolicy():
                is_open = False
            case ops.SyncSecrets():
                # What a client asks for the first time waits for a Retry-After, which only a person's pass ignores.
                is_open = self.expected.not_before > self.clock.now
            case _:
                is_open = True
        call = ops.write(operation)
        truth = self.hub.answer(call.method, call.target, DEMO_KEY, call.body or b"")
        if is_open or self.expected.gone or truth.status != 200:
            return
        said: Any = truth.json()
        shown: Any = json.loads(self._run(self._ask(operation)).body)  # type: ignore[arg-type]
        if isinstance(operation, ops.ListAssistants):
            said = [each for each in said if each["configResult"]["config"] is not None]
            sources = [each["rawYaml"] for each in said]
            shown = [each for each in shown if each["rawYaml"] in sources]
        others = [pair for pair in zip(shown, said, strict=False) if pair[0] != pair[1]]
        assert shown == said, f"shown, and what the Hub says now: {others} of {operation}"


def _quick_disk() -> str | None:
    """Memory, where there is a disk of it: nothing here is about what a power loss leaves."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
