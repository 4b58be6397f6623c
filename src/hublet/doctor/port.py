"""Who listens on the port, on both loopback addresses; and the Unix sockets with the folder that they are in."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from hublet.core.errors import HubletError
from hublet.doctor.findings import Finding, Findings, ok, problem, warning
from hublet.doctor.scene import Scene
from hublet.doctor.service import holds_port
from hublet.doctor.setup import private
from hublet.door.holders import Holder, holders_of
from hublet.host.proving import LOOPBACK, has_ipv6, said_at
from hublet.reaching import is_listening


def port(scene: Scene) -> Findings:
    """Both addresses: `localhost` may mean either, so a program that holds one of them is asked by some of the
    clients."""
    number = scene.port
    if number == 0:
        yield ok("port", "serve.port is 0: another one with each start")
        return
    proof = _proof(scene) if scene.running and scene.daemon_error is None else None
    for address in LOOPBACK:
        if address == "::1" and not has_ipv6():
            yield ok("port.ipv6", "this machine has no IPv6 loopback; nobody is asked there")
            continue
        check, shown = ("port.ipv4", f"{address}:{number}") if address != "::1" else ("port.ipv6", f"[::1]:{number}")
        holders = holders_of(number, address)
        if proof is not None:
            yield _proved(check, shown, said_at(address, number, proof[0]) == proof[1], holders)
        else:
            yield _unproved(scene, check, shown, holders)


def _proof(scene: Scene) -> tuple[str, str] | None:
    assert scene.proof is not None
    word = secrets.token_hex(16)
    try:
        return word, str(scene.proof(word)["proof"])
    except HubletError:
        return None


def _proved(check: str, shown: str, ours: bool, holders: list[Holder] | None) -> Finding:
    if ours:
        return ok(check, f"{shown} is this hublet's")
    if holders == []:
        return problem(check, f"nobody listens on {shown}: some clients ask there", "`hublet service restart`")
    whose = f"{', '.join(map(str, holders))} listens" if holders else "something else listens"
    return problem(
        check,
        f"{whose} on {shown}, not this hublet: your clients would ask it",
        "end that program, or give hublet another serve.port and `hublet point` again",
    )


def _unproved(scene: Scene, check: str, shown: str, holders: list[Holder] | None) -> Finding:
    if holders is None:
        return warning(check, f"who listens on {shown} can't be told on this system")
    if not holders:
        return ok(check, f"{shown} is free")
    who = holders[0]
    if scene.daemon_error is not None and who.uid == os.geteuid():
        return warning(check, f"{who} listens on {shown}; it may be the hublet that does not answer")
    if who.uid in (os.geteuid(), 0) and holds_port(scene):
        return ok(check, f"the service manager holds {shown}: the first request starts hublet")
    return problem(
        check,
        f"{shown} is held by {who}, and hublet could not start",
        "end that program, or give hublet another serve.port",
    )


def sockets(scene: Scene) -> Findings:
    """The admin socket and serve.socket: whether somebody listens, or it is left over, or is something else
    entirely."""
    for path, check, what in (
        (scene.admin_socket, "socket.admin", "the admin socket"),
        (scene.config.serve.socket, "socket.own", "serve.socket"),
    ):
        if path is not None:
            yield from _socket(scene, path, check, what)
    folder = private(scene.admin_socket.parent, "socket.folder", "the runtime directory")
    if folder is not None:
        yield folder
    yield from _dead(scene)


def _socket(scene: Scene, path: Path, check: str, what: str) -> Findings:
    try:
        info = path.lstat()
    except FileNotFoundError:
        if scene.running and path != scene.admin_socket:
            yield warning(check, f"{what} {path} is not there", "`hublet service restart`")
        return
    if not stat.S_ISSOCK(info.st_mode):
        yield problem(check, f"{path} is in the way of {what} and is not one", "see what it is and move it away")
    elif not is_listening(path):
        yield warning(
            check,
            f"{what} {path} is left over from a hublet that was killed: nobody is behind it",
            "the next start replaces it",
        )
    else:
        yield ok(check, f"{what} {path} answers")


def _dead(scene: Scene) -> Findings:
    """A lock file that names a process which no longer runs: it was killed before it could remove its number."""
    from hublet.store.lock import lock_name

    try:
        text = (scene.places.data / lock_name).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return
    if text.isdigit() and not Path(f"/proc/{text}").exists() and Path("/proc/self").exists():
        yield warning(
            "store.lock",
            f"{scene.places.data / lock_name} names process {text}, which was killed",
            "nothing: the lock went with the process; see the log for what happened",
        )
