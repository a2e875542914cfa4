"""Servers on an event loop of their own, in a thread of the test's process."""

import asyncio
import threading
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.support.http_site import Handler


class ThreadedServer:
    """Runs for the time of a `with` block."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        """Begin to listen."""
        raise NotImplementedError

    async def _stop(self) -> None:
        """Let everybody go."""
        raise NotImplementedError


class ThreadedSite(ThreadedServer):
    """An HTTP server, which answers as `_handle` does."""

    SHUTDOWN_S = 60.0
    """How long requests under way may take at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.url = ""
        self._runner: web.ServerRunner | None = None

    async def _start(self) -> None:
        self._runner, self.url = await open_site(self._handle, shutdown_s=self.SHUTDOWN_S)

    async def _stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        raise NotImplementedError


async def open_site(
    handler: Handler, port: int = 0, *, shutdown_s: float = ThreadedSite.SHUTDOWN_S
) -> tuple[web.ServerRunner, str]:
    """Listen on loopback; returns what ends that, and the address of `/mcp`."""
    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=shutdown_s)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
