"""What `hublet doctor --sunset` is told by whoever has the cache open: how everything stands without the Hub.

Facts only, no secret value; nothing is changed. It is told on machines as well where nothing may be exported.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hublet.core.address import folder_of
from hublet.core.errors import HubletError
from hublet.export import layout
from hublet.export.files import Compared, compare
from hublet.serve.exporting import assistants, export, wish_of
from hublet.serve.service import Service


def sunset(service: Service) -> dict[str, Any]:
    """`assistants` as `hublet export` reports them, `export` is None when `export.directory` is not set. Raises
    HubletError while the cache is not open."""
    snapshot = service.opened().snapshot
    return {
        "hub": service.config.hub.url,
        "is_folder": folder_of(service.config.hub.url) is not None,
        "port": service.port or service.config.serve.port,
        "locked": snapshot.locked,
        "max_stale": service.config.secrets.max_stale,
        "allowed": service.managed.export,
        "assistants": layout.report(assistants(service, snapshot)),
        "export": _export(service),
    }


def _export(service: Service) -> dict[str, object] | None:
    """What `export.directory` names and how its files differ from what is served; `problem` where that is not known."""
    wanted = service.config.export
    if wanted.directory is None:
        return None
    found: dict[str, object] = {
        "directory": str(wanted.directory),
        "layout": wanted.layout,
        "env": str(wanted.env) if wanted.env is not None else None,
        "problem": "",
    }
    try:
        answer = export(service, wish_of(wanted))
        files = compare(wanted.directory, answer["files"])
        env = Compared()
        if wanted.env is not None:
            env = compare(wanted.env.parent, {wanted.env.name: answer["env"]}, beside=True)
    except HubletError as error:
        return found | {"problem": error.message}
    except OSError as error:
        return found | {"problem": f"{error.filename or wanted.directory}: {error.strerror}"}
    return found | {kind: [*paths, *asdict(env)[kind]] for kind, paths in asdict(files).items()}
