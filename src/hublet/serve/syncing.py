"""A pass that a person asks for, told as it goes on: a line of JSON for each outcome, and the summary as the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson

from hublet.passes.summary import describe
from hublet.passes.sync import Sync
from hublet.upstream.order import Told, Word


async def lines(sync: Sync, *, full: bool = False) -> AsyncIterator[bytes]:
    """Run a pass for a person, or join one that asks for as much; a `full` one sends no validators. Who stops listening
    ends only the listening: the pass goes on."""
    words: asyncio.Queue[Word] = asyncio.Queue()
    running = asyncio.create_task(sync.run_pass(words.put_nowait, force=True, full=full))
    try:
        while not (running.done() and words.empty()):
            next_word = asyncio.ensure_future(words.get())
            await asyncio.wait({next_word, running}, return_when=asyncio.FIRST_COMPLETED)
            if next_word.done():
                yield orjson.dumps(_heard(next_word.result())) + b"\n"
            else:
                next_word.cancel()
        summary = await running
        yield orjson.dumps({"summary": summary.to_plain()}) + b"\n"
    finally:
        running.cancel()  # `run_pass` shields the pass itself


def _heard(word: Word) -> dict[str, object]:
    if isinstance(word, Told):
        return {"asked": describe(word.operation), "outcome": type(word.outcome).__name__.lower()}
    return {"asked": "icon", "outcome": "answered"}
