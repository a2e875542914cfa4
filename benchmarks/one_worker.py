"""One worker, its backend and a client on one loop: a call from socket to socket, and back."""

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self, cast

import uvloop

from benchmarks.echo_backend import Echo
from tests.support.lane import call, lane_worker

_CALL = call(7, "x" * 32)
_RESULT_BYTES = 128


class OneWorker:
    """Serves for the time of a `with` block.

    Args:
        fast: whether the compiled lane carries the calls; aiohttp and the pipeline do otherwise.
    """

    def __init__(self, *, fast: bool) -> None:
        self._fast = fast
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._runner.run(self._open())
        self.calls(50)  # plans are made and connections open
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def calls(self, count: int) -> None:
        """Make so many calls, one after the other."""
        self._runner.run(self._client.calls(count))

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        backend = await loop.create_server(lambda: Echo(_RESULT_BYTES), "127.0.0.1", 0)
        self._stack.callback(backend.close)
        url = f"http://127.0.0.1:{backend.sockets[0].getsockname()[1]}/mcp"
        worker = await self._stack.enter_async_context(lane_worker(url, fast=self._fast))
        _, self._client = await loop.create_connection(_Client, "127.0.0.1", worker.port)
        self._stack.callback(self._client.close)


class _Client(asyncio.Protocol):
    """Knows that an answer of this size comes in one piece, or nearly so."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._left = 0
        self._came = b""
        self._done: asyncio.Future[None]

    def data_received(self, data: bytes) -> None:
        self._came += data
        if not self._came.endswith(b"}"):
            return
        assert self._came.startswith(b"HTTP/1.1 200"), self._came
        assert b'"id":7' in self._came, self._came
        self._came = b""
        self._left -= 1
        if self._left:
            self._transport.write(_CALL)
        else:
            self._done.set_result(None)

    async def calls(self, count: int) -> None:
        self._done = asyncio.get_running_loop().create_future()
        self._left = count
        self._transport.write(_CALL)
        async with asyncio.timeout(60):
            await self._done

    def close(self) -> None:
        self._transport.abort()
