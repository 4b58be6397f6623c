"""What all checks look at: the config, the running daemon if there is one, and the facts about the cache.

a daemon answers          it tells the facts and asks the Hub itself, so no key and no secret value leaves it
no daemon, but a store    this process opens the store read-only, reads the facts and closes it again
neither                   the checks work with the config alone
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hublet.config.loading import Config, Places, find_config, load_config
from hublet.config.locating import usual_socket
from hublet.config.managed import MANAGED_FILE, Managed, load_managed
from hublet.core.errors import ConfigError, HubletError, NotRunning
from hublet.core.values import dataclass
from hublet.reaching import SocketClient, is_listening
from hublet.redaction import Redactor, watch

if TYPE_CHECKING:
    from hublet.keys.source import KeySource

PATIENCE = 10.0
"""Seconds that a daemon has for an answer from memory."""
PROBE_PATIENCE = 40.0
"""Seconds that a daemon has to ask the Hub one question with the key."""


@dataclass(frozen=True, slots=True)
class Scene:
    """`config` is that of the file; if the file can't be used, `config_error` says why and `config` has the defaults.

    `facts` is what `serve/examining.py` returns, from the running daemon (`running` is true) or from the store on disk.
    It is empty when there is no store, or when it could not be had: `facts_error` then says why. `daemon_error` says
    why a daemon that listens does not answer. `proof` asks the daemon for its answer to a random word
    (host/proving.py), `probe` has the Hub asked with the account's key. `redactor` knows the secrets that this process
    has read.
    """

    environment: Mapping[str, str]
    file: Path | None
    config: Config
    places: Places
    admin_socket: Path
    managed: Managed
    config_error: ConfigError | None = None
    running: bool = False
    daemon_error: HubletError | None = None
    proof: Callable[[str], dict[str, Any]] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    facts_error: HubletError | None = None
    probe: Callable[[], dict[str, Any]] | None = None
    redactor: Redactor = field(default_factory=Redactor)
    now: float = field(default_factory=time.time)

    @property
    def home(self) -> Path:
        return Path(self.environment.get("HOME") or Path.home())

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.facts.get("status", {})
        return found

    @property
    def port(self) -> int:
        """The port that the daemon serves, or would serve."""
        return int(self.status.get("port") or self.config.serve.port)


def gather(
    flag: Path | None,
    environment: Mapping[str, str],
    *,
    managed_file: Path = MANAGED_FILE,
    managed_owner: int = 0,
) -> Scene:
    """Collect what the checks look at. `flag` is the value of --config."""
    managed, error, file = Managed(managed_file), None, None
    config = None
    try:
        managed = load_managed(managed_file, owner=managed_owner)
        file = find_config(flag, environment)
        config = load_config(file, managed)
    except ConfigError as found:
        error = found
    if config is None:
        config = load_config(None, managed)
    places = config.locate()
    admin = (usual_socket(flag, environment) if error is not None else None) or places.admin_socket
    scene: dict[str, Any] = {
        "environment": environment, "file": file, "config": config, "places": places, "admin_socket": admin,
        "managed": managed, "config_error": error,
    }  # fmt: skip
    if is_listening(admin):
        return Scene(**scene, **_from_daemon(SocketClient(admin)))
    return Scene(**scene, **_from_store(config, places, environment))


def _from_daemon(daemon: SocketClient) -> dict[str, Any]:
    found: dict[str, Any] = {
        "running": True,
        "proof": lambda word: daemon.call("GET", f"/proof/{word}", patience=PATIENCE),
        "probe": lambda: daemon.call("POST", "/probe", patience=PROBE_PATIENCE),
    }
    try:
        return found | {"facts": daemon.call("GET", "/examine", patience=PATIENCE)}
    except NotRunning as error:
        return found | {"daemon_error": error}
    except HubletError as error:
        # A daemon of another version may know /status but not /examine.
        try:
            status = daemon.call("GET", "/status", patience=PATIENCE)
            return found | {"facts": {"status": status}, "facts_error": error}
        except HubletError:
            return found | {"daemon_error": error}


def _from_store(config: Config, places: Places, environment: Mapping[str, str]) -> dict[str, Any]:
    from hublet.keys.asking import Asker
    from hublet.opening import open_service
    from hublet.serve.examining import examine, probe
    from hublet.serve.keysource import configured_source
    from hublet.store.archive import Archive
    from hublet.store.looking import look
    from hublet.store.schema import Header, database_name

    if not os.path.lexists(places.data / database_name):
        return {}

    def source(header: Header) -> KeySource:
        asker = Asker(file=config.keys.passphrase_file, terminal=False)
        return configured_source(config, header, asker=asker, quiet=True)

    try:
        with look(places.data, source, now=time.time()) as store:
            service = open_service(config, environment=environment, opening=False)
            service.take(Archive(store))
            facts = asyncio.run(examine(service))
        redactor = Redactor()
        watch(redactor, service)
        return {"facts": facts, "probe": lambda: asyncio.run(probe(service)), "redactor": redactor}
    except HubletError as error:
        return {"facts_error": error}
