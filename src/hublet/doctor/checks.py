"""All checks, in the order in which they are shown."""

from __future__ import annotations

from hublet.doctor import cache, clients, hub, installs, port, service, setup, store
from hublet.doctor.findings import Check

CHECKS = (
    Check("version", setup.version),
    Check("installs", installs.installs),
    Check("config", setup.config),
    Check("machine", setup.rights),
    Check("disk", setup.disk),
    Check("key", store.key),
    Check("store", store.store),
    Check("daemon", cache.daemon),
    Check("port", port.port),
    Check("socket", port.sockets),
    Check("service", service.service),
    Check("hub", hub.reachable, 45.0),
    Check("hub.key", hub.accepted, 45.0),
    Check("cache", cache.state),
    Check("secrets", cache.secrets),
    Check("clients", clients.clients),
)
