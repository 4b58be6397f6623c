"""The process that a call of the keyring runs in. It gets to see the key, so it is hardened before it reads what to
do."""

from __future__ import annotations

from hublet.host.hardening import harden


def main() -> None:
    harden()
    from hublet.keys.keyring_child import main as work

    work()


if __name__ == "__main__":
    main()
