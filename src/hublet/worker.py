"""The process that a pass runs in, hardened before it reads its work order: there is a key in it."""

from __future__ import annotations

import gc
import sys

from hublet.host.hardening import harden
from hublet.host.lean import without


def main() -> int:
    gc.disable()  # it ends before garbage in cycles could come to anything
    harden()
    with without("_hashlib", "httpx._main"):  # digests hashlib has of its own; the other is httpx's own command
        from hublet.upstream.order import order_from_json
        from hublet.upstream.worker import work

    return work(order_from_json(sys.stdin.buffer.read()))
