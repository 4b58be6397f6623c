"""The facts for `hublet doctor --sunset`, from the process that has the cache open: what would work without the Hub.

No secret value is in them, and nothing is changed. They are given also where the administrator does not allow exports.
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
    """`assistants` is the report of `hublet export`, `export` is None when `export.directory` is not set.

    Raises HubletError while the cache is not open."""
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
    """How the files in `export.directory` differ from what is served; `problem` says why where that can't be told."""
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
