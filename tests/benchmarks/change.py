"""From a change at the Hub to its being served: a sync by the admin socket, with a listener and a client waiting.

The Hub has the new answer ready before the clock starts; what it takes to send it is taken off.
"""

from __future__ import annotations

import json

from tests.benchmarks import hublets
from tests.benchmarks.hub import World, hub_of
from tests.benchmarks.processes import CLIENT_CORE, on_core
from tests.benchmarks.table import Report, median

WORLD = World(number=100, size=20_000)
CLIENT = """
import http.client, json, os, socket, sys, threading, time
from pathlib import Path
from hublet.config.loading import load_config

port, hub_port, rounds = map(int, sys.argv[1:])
admin = str(load_config(Path(os.environ["HUBLET_CONFIG"])).locate().admin_socket)
target = "/ide/get-assistant/bench/a0?alwaysUseProxy=false"

def unix():
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(admin)
    return connection

def hub(method, path):
    connection = http.client.HTTPConnection("127.0.0.1", hub_port, timeout=60)
    connection.request(method, path)
    return json.loads(connection.getresponse().read())

client = http.client.HTTPConnection("localhost", port, timeout=60)

def etag():
    client.request("GET", target)
    response = client.getresponse()
    response.read()
    return response.headers["ETag"]

found = []
for _ in range(rounds):
    before, at = etag(), {}
    listener = unix()
    listener.request("GET", "/events")
    events = listener.getresponse()
    events.readline()
    hub("POST", "/bench/change?number=1")
    hub("GET", "/ide/list-assistants?alwaysUseProxy=false")
    hub("POST", "/bench/forget")

    def hear():
        while json.loads(events.readline()).get("kind") != "revision":
            pass
        at["told"] = time.perf_counter()

    def look():
        while etag() == before:
            time.sleep(0.001)
        at["served"] = time.perf_counter()

    threads = [threading.Thread(target=each, daemon=True) for each in (hear, look)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    asking = unix()
    asking.request("POST", "/sync")
    asking.getresponse().read()
    ended = time.perf_counter()
    for thread in threads:
        thread.join(60)
    listener.close()
    told = hub("GET", "/bench/told")
    found.append([at["served"] - began, at["told"] - began, ended - began, told["busy"]])
print(json.dumps(found))
"""


def measure(report: Report, *, rounds: int, short: bool) -> None:
    """All of this part."""
    with hublets.scratch() as place, hub_of(WORLD, before=on_core(CLIENT_CORE)) as hub:
        home = hublets.home_of(place / "home", hub.url)
        with home.daemon() as daemon:  # on any core: a pass is a process of its own beside it
            hublets.synced(daemon)
            done = home.python("-c", CLIENT, str(daemon.port), str(hub.port), str(rounds), timeout=60 + 10 * rounds)
    assert done.returncode == 0, done.stderr.decode()
    found: list[list[float]] = json.loads(done.stdout)
    milliseconds = [[each * 1000 for each in one] for one in found]
    served, told, ended, busy = ([one[n] for one in milliseconds] for n in range(4))
    report.add("change", "the Hub's own time", median(busy), "ms")
    report.add("change", "`hublet sync` to served", median(served), "ms")
    report.add("change", "to the event", median(told), "ms")
    report.add("change", "to the summary", median(ended), "ms")
    own = [max(a, b) - hub_time for a, b, hub_time in zip(served, told, busy, strict=True)]
    report.add("change", "served and told, less the Hub's own time", median(own), "ms", "<= 50")
