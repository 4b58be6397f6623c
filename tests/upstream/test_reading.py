"""Reading a body: one layer of gzip, unpacked up to the limit and never beyond it."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.upstream.unpacking import ACCEPTED, TooLarge, Unreadable, read_body

LIMIT = 100_000


class Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes, size: int) -> None:
        self.body, self.size = body, size

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        for at in range(0, len(self.body), self.size):
            yield self.body[at : at + self.size]


def read(body: bytes, packing: str | None, size: int = 65536, limit: int = LIMIT) -> bytes:
    headers = {"content-encoding": packing} if packing is not None else {}
    return asyncio.run(read_body(httpx.Response(200, headers=headers, stream=Pieces(body, size)), limit))


@given(st.binary(max_size=2000), st.sampled_from([None, "identity", "gzip", "GZIP", "x-gzip"]), st.integers(1, 500))
def test_a_body_comes_out_as_it_went_in(body: bytes, packing: str | None, size: int) -> None:
    """Packed or not, in whatever pieces; exactly the limit is allowed."""
    packed = gzip.compress(body) if packing is not None and packing.lower() != "identity" else body
    assert read(packed, packing, size, limit=max(len(packed), len(body))) == body


@pytest.mark.parametrize("packing", [None, "gzip"])
def test_one_byte_over_the_limit_is_too_large(packing: str | None) -> None:
    body = bytes(LIMIT + 1)
    with pytest.raises(TooLarge):
        read(gzip.compress(body) if packing else body, packing)
    assert len(read(gzip.compress(body[1:]) if packing else body[1:], packing)) == LIMIT


def test_a_bomb_is_never_unpacked_beyond_the_limit() -> None:
    """A hundred megabytes in one piece take hardly more memory than the limit."""
    bomb = gzip.compress(bytes(100_000_000), 9)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            read(bomb, "gzip", size=len(bomb))
        assert tracemalloc.get_traced_memory()[1] < 10 * LIMIT + len(bomb)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packing", ["gzip, gzip", "br", "deflate", "zstd", "gzip, identity", "nonsense"])
def test_a_packing_that_was_not_asked_for_is_not_unpacked(packing: str) -> None:
    """With one more layer, kilobytes become gigabytes."""
    assert ACCEPTED == "gzip"
    with pytest.raises(Unreadable):
        read(gzip.compress(gzip.compress(b"x")), packing)


@pytest.mark.parametrize(
    "body",
    [b"not gzip", gzip.compress(b"x" * 5000)[:-9], gzip.compress(b"x") + b"more", zlib.compress(b"x"), b"\x1f\x8b"],
    ids=["no gzip", "cut off", "more behind it", "another format", "two bytes"],
)
def test_a_broken_packing_is_no_answer(body: bytes) -> None:
    """Above all one that is cut off: what has come could look complete."""
    with pytest.raises(Unreadable):
        read(body, "gzip", size=7)
