"""How many connections a process may have, and that it asks for as many as it needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_CODE = """
import json, resource, sys
from hublet.host.descriptors import connections_allowed
soft, hard, wanted = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
allowed = connections_allowed(wanted)
print(json.dumps([allowed, *resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "result"),
    [
        (1024, 4096, 500, [500, 1024, 4096]),
        (1024, 4096, 2000, [2000, 2256, 4096]),
        (1024, 1024, 4096, [768, 1024, 1024]),
        (512, 2048, 4096, [1792, 2048, 2048]),
        (100, 100, 4096, [1, 100, 100]),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed_and_allowed(
    soft: int, hard: int, wanted: int, result: list[int]
) -> None:
    """Where the hard one does not allow it, fewer connections are taken."""
    words = [sys.executable, "-c", _CODE, json.dumps([soft, hard, wanted])]
    done = subprocess.run(words, capture_output=True, check=True, timeout=30)
    assert json.loads(done.stdout) == result
