"""The process that a pass runs in. It is hardened before it reads its work order, which has the key in it."""

from __future__ import annotations

import gc
import sys

from hublet.host.hardening import harden, limit_memory
from hublet.host.lean import without

_MEMORY = 2 * 1024**3
_MEMORY_FOR_EACH_BYTE = 16
"""How much memory a pass may have, in bytes: so much, and so much more for each byte of hub.size_limit (the parser
alone takes 8 for each). It is many times what a large team needs, and ends a pass over answers that were made to fill
the memory before the machine is out of it."""


def main() -> int:
    """Carry out the work order on standard input. Returns the exit code."""
    gc.disable()  # the process ends before garbage in cycles matters
    harden()
    with without("_hashlib", "httpx._main"):  # hashlib has its own digests; httpx._main is a command
        from hublet.upstream.order import order_from_json
        from hublet.upstream.worker import work

    order = order_from_json(sys.stdin.buffer.read())
    limit_memory(_MEMORY + _MEMORY_FOR_EACH_BYTE * order.hub.size_limit)
    return work(order)
