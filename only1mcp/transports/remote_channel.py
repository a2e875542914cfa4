"""A channel over the network: what its kinds have in common, from its opening to its end."""

import asyncio
import contextlib
from abc import ABC, abstractmethod

from only1mcp.tasks import Tasks
from only1mcp.transports.channel import MAX_UNSENT_BYTES, ChannelObserver

_OURS = "was disconnected"


class Outbox:
    """What waits to be sent: in order, and bounded."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.size = 0
        """How many bytes are not sent yet."""
        self._closed = False

    def put(self, message: bytes) -> bool:
        """Take a message; False when it takes no more."""
        if self._closed or self.size > MAX_UNSENT_BYTES:
            return False
        self.size += len(message)
        self._queue.put_nowait(message)
        return True

    async def get(self) -> bytes | None:
        """Return the next message, which counts as unsent still; None when no more will come."""
        return await self._queue.get()

    def sent(self, message: bytes) -> None:
        """Learn that a message is out of our hands."""
        self.size -= len(message)

    def close(self) -> None:
        """Take no more; what was taken can still be got."""
        if not self._closed:
            self._closed = True
            self._queue.put_nowait(None)


class RemoteChannel(ABC):
    """Implements `Channel`: one task reads, another sends; the end of either is its end."""

    def __init__(self, observer: ChannelObserver) -> None:
        self.pid = 0
        self.exited = asyncio.Event()
        self._observer = observer
        self._outbox = Outbox()
        self._tasks = Tasks()
        self._reason = ""
        self._over = asyncio.Event()
        self._living: asyncio.Task[None] | None = None

    def write(self, message: bytes) -> bool:
        """Send one message; False when the channel takes no more."""
        return self._outbox.put(message)

    async def stop(self, grace_s: float) -> None:
        """Send what was written, say goodbye, wait for the other side; then hang up."""
        self._conclude(_OURS)
        self._outbox.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.exited.wait()
        self.kill()
        await self.exited.wait()

    def kill(self) -> None:
        """Hang up at once."""
        self._end(_OURS)

    @abstractmethod
    async def _receive(self) -> str:
        """Pass on what comes, up to the end of the connection; return its reason."""

    @abstractmethod
    async def _send(self) -> None:
        """Send what the outbox holds, up to its end, and say goodbye."""

    @abstractmethod
    async def _hang_up(self) -> None:
        """Let go of the connection, without waiting for the other side."""

    def _begin(self) -> None:
        self._living = asyncio.get_running_loop().create_task(self._live())

    def _end(self, reason: str) -> None:
        self._conclude(reason)
        self._over.set()

    def _conclude(self, reason: str) -> None:
        """Note why the channel ends; the first reason is the cause of the others."""
        self._reason = self._reason or reason

    async def _live(self) -> None:
        """Carry the channel to its end, whoever brings it about, and tell of it."""
        for work in (self._read(), self._send()):
            self._tasks.spawn(work).add_done_callback(self._check)
        try:
            await self._over.wait()
        finally:
            self._conclude(_OURS)
            self._outbox.close()
            await self._tasks.cancel_all()
            await self._hang_up()
            self.exited.set()
            self._observer.on_exit(self._reason)

    async def _read(self) -> None:
        self._end(await self._receive())

    def _check(self, task: asyncio.Task[None]) -> None:
        """End a channel that is half dead; `Tasks` has logged the exception."""
        if not task.cancelled() and task.exception() is not None:
            self._end("failed")
