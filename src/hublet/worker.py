"""The process that a pass runs in, hardened before it reads its work order: there is a key in it."""

from __future__ import annotations

import gc
import sys

from hublet.host.hardening import harden
from hublet.host.lean import without


def main() -> int:
    gc.disable()  # it ends before garbage in cycles could come to anything
    harden()
    with without("httpx._main"):  # httpx's own command, with which come click and rich: a fifth of this start
        from hublet.upstream.worker import main as work

    return work()


if __name__ == "__main__":
    sys.exit(main())
