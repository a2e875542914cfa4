"""Clients that call a tool without pause, to see that none of their calls fails."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from typing import Self

from tests.support.mcp_client import CallFailed, McpClient
from tests.support.waiting import wait_until


class Callers:
    """Threads that call on kept and on fresh connections, and note every failure."""

    def __init__(self, port: int, tool: str) -> None:
        self._port = port
        self._tool = tool
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=run) for run in (self._keep, self._renew) for _ in range(4)
        ]
        self.failures: list[str] = []
        self.answered = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.flow()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def flow(self) -> None:
        """Wait until 100 more calls have been answered."""
        enough = self.answered + 100
        wait_until(lambda: self.answered >= enough, "calls are answered")

    def _renew(self) -> None:
        while not self._over.is_set():
            with self._noting(), McpClient(self._port) as client:
                self._call(client)

    def _keep(self) -> None:
        while not self._over.is_set():
            with self._noting(), McpClient(self._port) as client:
                while not self._over.is_set():
                    self._call(client)

    def _call(self, client: McpClient) -> None:
        assert client.call(self._tool, text="x") == "x"
        self.answered += 1

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, CallFailed) as error:
            self.failures.append(repr(error))
