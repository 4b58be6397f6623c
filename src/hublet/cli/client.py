"""How a command reaches hublet: over the admin socket of a running daemon, else by opening the store itself.

Both ways lead to the same code (serve/admin.py), so a command works the same with and without a daemon.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hublet.core.errors import AdminError, NotRunning

if TYPE_CHECKING:
    import http.client

    from hublet.config import Config

_PATIENCE = 30.0
_PASS_PATIENCE = 900.0


class Client(Protocol):
    """`running` tells whether a daemon answered. Errors are AdminError with the daemon's own sentence."""

    running: bool

    def call(self, method: str, path: str, value: object = None, *, patience: float = _PATIENCE) -> dict[str, object]:
        """One request, one JSON object; `patience` is how long a daemon may take for it, in seconds."""

    def stream(self, method: str, path: str) -> Iterator[dict[str, object]]:
        """One request, an object for each line as it comes."""


@contextmanager
def connected(config: Config, *, opening: bool = True) -> Iterator[Client]:
    """The daemon's admin door, or the store opened in this process when no daemon runs.

    Without `opening` the store is left shut, for the commands that look after its key.

    Raises StoreLocked when a daemon has the store but its socket can't be reached.
    """
    path = config.locate().admin_socket
    try:
        probe = socket.socket(socket.AF_UNIX)
        with closing(probe):
            probe.settimeout(_PATIENCE)
            probe.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        with closing(LocalClient(config, opening=opening)) as local:
            yield local
        return
    except OSError as error:
        raise NotRunning(f"the admin socket can't be reached: {error.strerror}", hint=f"it is {path}") from None
    yield SocketClient(path)


def is_listening(path: Path) -> bool:
    """Whether a daemon is behind its admin socket."""
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.settimeout(_PATIENCE)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


class SocketClient:
    running = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def call(self, method: str, path: str, value: object = None, *, patience: float = _PATIENCE) -> dict[str, object]:
        from hublet.cli.exchange import Broken, exchange

        try:
            code, body = exchange(
                self._path, method, path, b"" if value is None else json.dumps(value).encode(), patience
            )
        except TimeoutError:
            raise _late() from None
        except (OSError, Broken) as error:
            raise _broken_off(error) from None
        if code != 200:
            raise _error(_object(body))
        return _object(body)

    def stream(self, method: str, path: str) -> Iterator[dict[str, object]]:
        with self._asked(method, path, None, _PASS_PATIENCE) as response:
            for line in response:
                yield _object(line)

    @contextmanager
    def _asked(self, method: str, path: str, value: object, timeout: float) -> Iterator[http.client.HTTPResponse]:
        import http.client

        connection = http.client.HTTPConnection("localhost", timeout=timeout)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(timeout)
            connection.sock.connect(str(self._path))
            connection.request(method, path, None if value is None else json.dumps(value).encode())
            response = connection.getresponse()
            if response.status != 200:
                raise _error(_object(response.read()))
            yield response
        except TimeoutError:
            raise _late() from None
        except (OSError, http.client.HTTPException) as error:
            raise _broken_off(error) from None
        finally:
            connection.close()


class LocalClient:
    """Opens the store in this process for one command."""

    running = False

    def __init__(self, config: Config, *, opening: bool = True) -> None:
        import asyncio

        from hublet.opening import open_service
        from hublet.serve.admin import Admin

        self._runner = asyncio.Runner()
        self._service = open_service(config, opening=opening)
        self._admin = Admin(self._service)

    def close(self) -> None:
        self._runner.run(self._service.close())
        self._runner.close()

    def call(
        self,
        method: str,
        path: str,
        value: object = None,
        *,
        patience: float = _PATIENCE,  # noqa: ARG002  the protocol's; here nothing is waited for
    ) -> dict[str, object]:
        body = self._handle(method, path, value)
        assert isinstance(body, bytes)
        return _object(body)

    def stream(self, method: str, path: str) -> Iterator[dict[str, object]]:
        lines = self._handle(method, path, None)
        assert isinstance(lines, AsyncIterator)

        async def following() -> bytes | None:
            return await anext(lines, None)

        while (line := self._runner.run(following())) is not None:
            yield _object(line)

    def _handle(self, method: str, path: str, value: object) -> bytes | AsyncIterator[bytes]:
        from hublet.core.messages import Head

        segments = Head(method, path).segments
        body = b"" if value is None else json.dumps(value).encode()
        response = self._runner.run(self._admin.handle(method, segments, body))
        if response.status != 200:
            assert isinstance(response.body, bytes)
            raise _error(_object(response.body))
        return response.body


def _late() -> NotRunning:
    return NotRunning("the daemon does not answer in time", hint="look at its log")


def _broken_off(error: Exception) -> NotRunning:
    return NotRunning(f"the daemon broke off the answer ({type(error).__name__})")


def _object(text: bytes) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise AdminError("the daemon's answer can't be read", hint="is another version of hublet running?")
    return value


def _error(value: dict[str, object]) -> AdminError:
    message, hint, code = value.get("message"), value.get("hint"), value.get("exit_code")
    return AdminError(
        str(message or "the daemon refused"), hint=str(hint or ""), exit_code=code if isinstance(code, int) else 10
    )
