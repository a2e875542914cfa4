"""A TCP proxy on loopback that does on demand what networks do by accident."""

import asyncio
import contextlib
import random
import socket
import struct

from tests.support.threaded import ThreadedServer

FAULTS = ("latency", "loss", "stall", "reset", "half-close", "dribble", "cut", "refuse")
"""Each is what happens to the bytes of every connection while it lasts:

latency: come 50 ms later; loss: some never come; stall: none comes; reset: the first ones end the
connection with RST; half-close: only those to the server come, and it seems to have ended its half;
dribble: come one by one; cut: the connection ends in the middle of them; refuse: no connection.
"""
_LATENCY_S = 0.05
_LOST_OF_A_HUNDRED = 20
_RST = struct.pack("ii", 1, 0)
_CHUNK = 65536


class FaultProxy(ThreadedServer):
    """Forwards to a port of this host, from a thread with a loop of its own."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self.port = 0
        self._target = target
        self._fault = ""
        self._writers: set[asyncio.StreamWriter] = set()
        self._random = random.Random(7)

    def cause(self, fault: str) -> None:
        """Begin with a fault, on the connections that there are and on new ones."""
        assert fault in FAULTS
        self._fault = fault

    def heal(self) -> None:
        """End the fault; what it has spoiled is closed."""
        self._fault = ""
        self._loop.call_soon_threadsafe(self._abort_all)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        self._abort_all()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _abort_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault == "refuse":
            _reset(writer)
            return
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            pair = {writer, far_writer}
            self._writers |= pair
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._carry(reader, far_writer, is_answer=False))
                    group.create_task(self._carry(far_reader, writer, is_answer=True))
            finally:
                self._writers -= pair
                for one in pair:
                    one.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        """Forward until the end of either side."""
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                match self._fault:
                    case "latency":
                        await asyncio.sleep(_LATENCY_S)
                    case "loss" if self._random.randrange(100) < _LOST_OF_A_HUNDRED:
                        continue
                    case "stall":
                        continue
                    case "reset":
                        _reset(writer)
                        return
                    case "half-close" if is_answer:
                        writer.write_eof()
                        continue
                    case "dribble":
                        await _dribble(writer, data)
                        continue
                    case "cut":
                        writer.write(data[: len(data) // 2])
                        return
                writer.write(data)
                await writer.drain()
        if writer.can_write_eof() and not writer.transport.is_closing():
            with contextlib.suppress(OSError):
                writer.write_eof()


async def _dribble(writer: asyncio.StreamWriter, data: bytes) -> None:
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    writer.transport.abort()
