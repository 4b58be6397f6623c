"""Bytes that nobody thought of: by hypothesis with h11 as the judge, and (slow) by atheris, which watches the code."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.door.malformed import accepted, corpus
from tests.faults import two_parsers

FUZZ_SECONDS = int(os.environ.get("HUBLET_TESTS_FUZZ_SECONDS", "20"))
GOOD = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
SEEDS = [data for _, data in corpus.values() if len(data) < 400] + [d for d in accepted.values() if len(d) < 400]
SEEDS.append(b"GET /a  HTTP/1.0\r\n\r\n")  # several blanks before the version, which llhttp takes
PARTS = [
    GOOD, b"POST /b HTTP/1.1\r\n", b"Host: h\r\n", b"Content-Length: 3\r\n", b"Content-Length: 4\r\n", b"\r\n", b"abc",
    b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"Connection: close\r\n",
    b"Expect: 100-continue\r\n", b"A: b\r\n", b" ", b"\t", b"\n", b"\r", b"\x00", b":", b",", b";", b"HTTP/1.0\r\n",
    b"GET /c ",
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    monkeypatch.setattr(two_parsers, "_loop", loop)
    yield
    loop.close()


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A request of the corpus with a few bytes put in, left out or replaced, and a good one behind it."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.sampled_from(PARTS) | st.binary(max_size=3))
    return bytes(data) + draw(st.sampled_from([b"", GOOD]))


@settings(max_examples=250, deadline=None)
@given(changed() | st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join), st.integers(0, 500))
def test_the_door_takes_nothing_for_a_request_that_h11_does_not(data: bytes, cut: int) -> None:
    """And what it understands does not depend on how the bytes are cut."""
    two_parsers.compare(data, cut)


@pytest.mark.slow
@settings(max_examples=8000, deadline=None)
@given(changed() | st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join), st.integers(0, 500))
def test_the_same_many_times(data: bytes, cut: int) -> None:
    two_parsers.compare(data, cut)


@pytest.mark.slow
def test_atheris_finds_nothing_in_a_bounded_time(tmp_path: Path) -> None:
    """Guided by coverage of the door's own code, from the corpus on. HUBLET_TESTS_FUZZ_SECONDS makes it longer."""
    pytest.importorskip("atheris", reason="no atheris for this Python or machine")
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for number, data in enumerate(SEEDS):
        (seeds / str(number)).write_bytes(b"\x07" + data + GOOD)
    limits = [f"-max_total_time={FUZZ_SECONDS}", "-max_len=600", "-seed=1", "-timeout=20"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.two_parsers", *limits, str(seeds)],
        capture_output=True, timeout=FUZZ_SECONDS + 90, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    told = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    assert done.returncode == 0, told[-3000:]
    runs = re.search(r"Done (\d+) runs", told)
    assert runs is not None, told[-3000:]
    assert int(runs[1]) > len(SEEDS)
    print(f"\natheris: {runs[1]} inputs in {FUZZ_SECONDS} s")
