"""One pass over a Hub: what is asked, in which order, and how much at once.

First the organizations, the policy, the free trial and the key's scope are asked for, then the lists of all scopes, all
at once (as far as `hub.parallel` allows). Then come the secrets to which the assistants of each scope refer, many in
one request, and then the icons that are not kept yet. What is `rested` in the order is left out. A part that fails
stops no other; but if nobody answers the first questions, nothing more is asked. It works on any Upstream, and says
each outcome as soon as it is there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from hublet.core import operations as ops
from hublet.core.outcomes import Answered, Malformed, NotModified, Outcome, Unreachable, is_answer
from hublet.core.questions import PERSONAL, Fqsn, Icon, Scope
from hublet.core.records import Fact
from hublet.core.referring import Blocks, block_of
from hublet.core.split import Harvest, WrongShape, split, used
from hublet.upstream.http import Said, Upstream
from hublet.upstream.order import Told, Word, WorkOrder

_SECRETS_AT_ONCE = 500


async def survey(order: WorkOrder, upstream: Upstream, say: Callable[[Word], None]) -> None:
    """Carry out a work order. `say` is called with every outcome and every icon."""
    survey_ = _Survey(order, upstream, say)
    if order.whole:
        await survey_.everything()
    else:
        await survey_.ask_all(order.ask)


class _Survey:
    def __init__(self, order: WorkOrder, upstream: Upstream, say: Callable[[Word], None]) -> None:
        self.order, self.upstream, self.say = order, upstream, say
        self.turns = asyncio.Semaphore(order.hub.parallel)
        self.secrets: dict[Scope, dict[Fqsn, None]] = {}
        self.icons: dict[str, str] = {}
        self.fixed = dict(order.blocks)
        self.packages: dict[ops.Operation, asyncio.Future[tuple[Outcome, Harvest]]] = {}

    async def ask(self, operation: ops.Operation) -> tuple[Outcome, Harvest]:
        async with self.turns:
            said = await self.upstream.ask(operation)
        # The packages that assistants use come first, each once a pass: only with them are all secrets found.
        blocks: Blocks = {}
        if isinstance(said, Said) and _lists(operation):
            blocks, complete = await self.blocks(used(said.value))
            if not complete:
                said = replace(said, validator=None)  # so that it is taken apart again next time, with all that it uses
        outcome, harvest = _take_apart(operation, said, blocks, unfilled=self.order.hub.folder is not None)
        if isinstance(outcome, NotModified) and operation in self.order.texts:
            harvest = Harvest((), block=self.order.texts[operation])
        self.say(Told(operation, outcome))
        self.icons |= dict(harvest.icons)
        if isinstance(operation, ops.ListAssistants | ops.GetAssistant):
            self.secrets.setdefault(operation.scope, {}).update(dict.fromkeys(harvest.secrets))
        return outcome, harvest

    async def blocks(self, texts: Iterable[str]) -> tuple[dict[str, str], bool]:
        """(the texts of packages by what `uses:` says of them, whether the Hub has answered for each). Packages that
        can't be had are left out; that one does not exist is an answer."""
        wanted = {text: package for text in texts if text not in self.fixed and (package := block_of(text)) is not None}
        asking = {text: self.package(ops.GetBlock(*package)) for text, package in wanted.items()}
        asked = {text: await future for text, future in asking.items()}
        complete = all(is_answer(ops.GetBlock(*wanted[text]), outcome) for text, (outcome, _) in asked.items())
        found = {text: harvest.block for text, (outcome, harvest) in asked.items() if _is_there(outcome)}
        return self.fixed | found, complete

    def package(self, operation: ops.GetBlock) -> asyncio.Future[tuple[Outcome, Harvest]]:
        """The outcome of a package, which is asked for once a pass, however many need it."""
        if operation not in self.packages:
            self.packages[operation] = asyncio.ensure_future(self.ask(operation))
        return self.packages[operation]

    async def ask_all(self, operations: Iterable[ops.Operation]) -> None:
        packages = []
        async with asyncio.TaskGroup() as group:
            for operation in operations:
                if isinstance(operation, ops.GetBlock):
                    packages.append(self.package(operation))
                else:
                    group.create_task(self.ask(operation))
        await asyncio.gather(*packages)

    async def everything(self) -> None:
        rested = self.order.rested
        first = (ops.ListOrganizations(), ops.GetPolicy(), ops.GetFreeTrialStatus(), ops.GetAuthScope())
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(self.ask(operation)) for operation in first if operation not in rested]
        (outcome, harvest), *others = (task.result() for task in asking)
        scopes: list[Scope] = [PERSONAL, *(harvest.organizations if isinstance(outcome, Answered) else ())]
        # An organization that the list no longer names may be in quarantine: while it is served, it is asked for.
        scopes += [scope for scope in self.order.scopes if scope not in scopes]
        if isinstance(outcome, Unreachable) and all(isinstance(other, Unreachable) for other, _ in others):
            # Nobody is there: each further question would only wait for the same time in vain.
            for scope in scopes:
                self.say(Told(ops.ListAssistants(scope, False), outcome))
            return
        proxied = [scope for scope in scopes if self.order.every_proxied or scope in self.order.proxied]
        await self.ask_all(
            [
                *(ops.ListAssistants(scope, False) for scope in scopes),
                *(ops.ListAssistants(scope, True) for scope in proxied),
                *(asked for scope in scopes for asked in ops.defaults_of(scope) if asked not in rested),
                *(operation for operation in self.order.ask if not ops.is_default(operation)),
            ]
        )
        for scope, fqsn in self.order.secrets:
            self.secrets.setdefault(scope, {})[fqsn] = None
        await self.ask_all(
            ops.SyncSecrets.of(scope, tuple(names)[at : at + _SECRETS_AT_ONCE])
            for scope, names in self.secrets.items()
            for at in range(0, len(names), _SECRETS_AT_ONCE)
        )
        async with asyncio.TaskGroup() as group:
            for url, address in self.icons.items():
                if url not in self.order.icons:
                    group.create_task(self.fetch(url, address))

    async def fetch(self, url: str, address: str) -> None:
        async with self.turns:
            content = await self.upstream.fetch_icon(address)
        if content is not None:
            self.say(Fact(Icon(url), content))


def _is_there(outcome: Outcome) -> bool:
    return isinstance(outcome, Answered | NotModified)


def _lists(operation: ops.Operation) -> bool:
    return isinstance(operation, ops.ListAssistants | ops.GetAssistant)


def _take_apart(
    operation: ops.Operation, said: Outcome | Said, blocks: Blocks, *, unfilled: bool
) -> tuple[Outcome, Harvest]:
    if not isinstance(said, Said):
        return said, Harvest(())
    try:
        mark = f"@hublet:{os.urandom(16).hex()}:"
        # The proxied variant never holds a secret value, not even one of the user's own.
        unfilled = unfilled and not getattr(operation, "proxied", False)
        harvest = split(operation, said.value, mark=mark, blocks=blocks, unfilled=unfilled)
    except WrongShape as error:
        return Malformed(str(error)), Harvest(())
    except RecursionError:
        return Malformed("the answer is nested too deeply"), Harvest(())
    except MemoryError:
        raise  # the others would not find any either
    except Exception as error:  # noqa: BLE001  an answer that nobody thought of must not cost the pass all others
        return Malformed(f"the answer can't be taken apart ({type(error).__name__})"), Harvest(())
    return Answered(harvest.facts, said.validator), harvest
