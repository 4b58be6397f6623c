"""How a command reaches hublet: over the admin socket of a running daemon, else by opening the store in this process.

Both ways lead to the same code (serve/admin.py), so a command works the same with and without a daemon.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Protocol

from hublet.core.errors import NotRunning
from hublet.reaching import NOBODY, PATIENCE, SocketClient, knock, object_of, refused

if TYPE_CHECKING:
    from hublet.config.loading import Config


class Client(Protocol):
    """`running` says whether a daemon answers. An error is raised as AdminError, with the daemon's own message."""

    running: bool

    def call(self, method: str, path: str, value: object = None, *, patience: float = PATIENCE) -> dict[str, object]:
        """One request, answered by one JSON object. `patience` is how many seconds a daemon may take."""

    def stream(self, method: str, path: str) -> Iterator[dict[str, object]]:
        """One request, answered by JSON objects, which are yielded as they come."""


@contextmanager
def connected(config: Config, *, opening: bool = True) -> Iterator[Client]:
    """A client of the running daemon; when none runs, one that opens the store in this process.

    Commands that look after the store's key pass `opening=False`: the store is then not opened.

    Raises StoreLocked when a daemon holds the store but nobody listens on its socket, NotRunning when the socket can't
    be reached for another reason.
    """
    path = config.locate().admin_socket
    try:
        knock(path)
    except NOBODY:
        with closing(LocalClient(config, opening=opening)) as local:
            yield local
        return
    except OSError as error:
        raise NotRunning(f"the admin socket can't be reached: {error.strerror}", hint=f"it is {path}") from None
    yield SocketClient(path)


class LocalClient:
    """Opens the store in this process, for one command."""

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
        patience: float = PATIENCE,  # noqa: ARG002  the protocol's parameter; here there is no daemon to wait for
    ) -> dict[str, object]:
        body = self._handle(method, path, value)
        assert isinstance(body, bytes)
        return object_of(body)

    def stream(self, method: str, path: str) -> Iterator[dict[str, object]]:
        lines = self._handle(method, path, None)
        assert isinstance(lines, AsyncIterator)

        async def following() -> bytes | None:
            return await anext(lines, None)

        while (line := self._runner.run(following())) is not None:
            yield object_of(line)

    def _handle(self, method: str, path: str, value: object) -> bytes | AsyncIterator[bytes]:
        from hublet.core.messages import Head

        segments = Head(method, path).segments
        body = b"" if value is None else json.dumps(value).encode()
        response = self._runner.run(self._admin.handle(method, segments, body))
        if response.status != 200:
            assert isinstance(response.body, bytes)
            raise refused(object_of(response.body))
        return response.body
