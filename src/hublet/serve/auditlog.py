"""The audit log for people: where it is, and what the ids in it mean."""

from __future__ import annotations

from hublet.core.naming import name_of, names_by_id
from hublet.serve.auditing import id_of, id_of_secret
from hublet.serve.secrets import entries
from hublet.serve.service import Service


async def audit_log(service: Service) -> dict[str, object]:
    """The log's file, after everything that waited was written to it; the name behind each id that can be told today;
    and how many notes could not be written."""
    audit = service.audit
    assert audit is not None
    await audit.flush()
    names: dict[str, str] = {}
    if service.sync is not None and service.archive is not None:
        envelope, snapshot = service.archive.envelope, service.sync.snapshot
        organizations = names_by_id(snapshot.organizations())
        names = {id_of(envelope, question): name_of(question, organizations) for question in service.sync.state.records}
        secrets = {entry.name for entry in entries(snapshot)}
        names |= {id_of_secret(envelope, name): f"secret {name}" for name in secrets}
    return {"file": str(audit.file.path), "names": names, "lost": audit.lost}
