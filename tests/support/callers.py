"""Clients that call a tool without pause, to see that none of their calls fails."""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

from tests.support.mcp_client import CallFailed, McpClient
from tests.support.waiting import wait_until

Ask = Callable[[int], tuple[dict[str, Any], str]]


def echo(number: int) -> tuple[dict[str, Any], str]:
    """Ask a tool that repeats its argument `text`."""
    return {"text": f"from {number}"}, f"from {number}"


class Callers:
    """Threads that call on kept and on fresh connections, and note every failure.

    Args:
        port: where the gateway listens.
        tool: what is called.
        kept, fresh: how many threads keep their connection, and how many take one for each call.
        ask: returns by a thread's number what it asks, and what is answered.
    """

    def __init__(
        self, port: int, tool: str, *, kept: int = 4, fresh: int = 4, ask: Ask = echo
    ) -> None:
        self._port = port
        self._tool = tool
        self._ask = ask
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep if number < kept else self._renew, args=(number,))
            for number in range(kept + fresh)
        ]
        self.failures: list[tuple[int, Exception]] = []
        """The number of the thread, and what it saw."""
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

    def _renew(self, number: int) -> None:
        while not self._over.is_set():
            with self._noting(number), McpClient(self._port) as client:
                self._call(client, number)

    def _keep(self, number: int) -> None:
        while not self._over.is_set():
            with self._noting(number), McpClient(self._port) as client:
                while not self._over.is_set():
                    self._call(client, number)

    def _call(self, client: McpClient, number: int) -> None:
        arguments, answer = self._ask(number)
        assert client.call(self._tool, **arguments) == answer
        self.answered += 1

    @contextlib.contextmanager
    def _noting(self, number: int) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, CallFailed) as error:
            self.failures.append((number, error))
