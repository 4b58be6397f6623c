"""`python -m hublet.demo [--port PORT]`: runs a pretend Hub until Ctrl-C and prints its URL."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer


def main() -> None:
    """Read the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m hublet.demo", description="Run a pretend Continue Hub.")
    parser.add_argument("--port", type=int, default=0, help="the loopback port to listen on (default: a free one)")
    parser.add_argument("--llm-url", default=None, help="where the chat assistants find their model")
    given = parser.parse_args()
    interrupted = threading.Event()
    # Before the URL is printed: whoever reads it may interrupt at once.
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    with HubServer(Hub(given.llm_url)).start(given.port) as server:
        sys.stdout.write(f"URL {server.url}\nKEY {DEMO_KEY}\n")
        sys.stdout.flush()
        interrupted.wait()


if __name__ == "__main__":
    main()
