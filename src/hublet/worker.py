"""The process that a pass runs in, hardened before it reads its work order: there is a key in it."""

from __future__ import annotations

import sys

from hublet.host.hardening import harden


def main() -> int:
    harden()
    from hublet.upstream.worker import main as work

    return work()


if __name__ == "__main__":
    sys.exit(main())
