"""Standard input and output of a program that speaks MCP on them: a message is a line."""

import asyncio
import contextlib
import os
import queue
import sys
import threading
from collections.abc import AsyncIterator, Callable

from only1mcp.errors import ParseError
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.lines import LineReader, LineTooLong

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_UNWRITTEN = 100_000
"""Messages that wait for the client; one that does not read is given up then."""
_CHUNK_BYTES = 64 * 1024
_FLUSH_S = 2.0


class Output:
    """Standard output, written by a thread: a client that writes first and reads later is heard.

    Args:
        on_closed: called on the loop when nobody reads any more.
    """

    def __init__(self, on_closed: Callable[[], None]) -> None:
        self._queue: queue.Queue[bytes | None] = queue.Queue(MAX_UNWRITTEN)
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write, name="stdout", daemon=True)
        self._thread.start()

    def write(self, message: bytes) -> None:
        """Write one line; a message from the network may hold line ends between its tokens."""
        try:
            self._queue.put_nowait(message.replace(b"\r", b"").replace(b"\n", b" ") + b"\n")
        except queue.Full:
            self._on_closed()

    def close(self) -> None:
        """Write what is left, if the client reads it."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=_FLUSH_S)
            self._thread.join(_FLUSH_S)

    def _write(self) -> None:
        try:
            while (line := self._queue.get()) is not None:
                sys.stdout.buffer.write(line)
                if self._queue.empty():
                    sys.stdout.buffer.flush()
            sys.stdout.buffer.flush()
        except OSError:
            # What is buffered for nobody would fail once more, aloud, when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._loop.call_soon_threadsafe(self._on_closed)
            while self._queue.get() is not None:
                pass  # nobody is to wait for room


async def read_lines(output: Output) -> AsyncIterator[bytes]:
    """Yield the lines of standard input; one that is too long is answered with an error."""
    reader = LineReader(MAX_MESSAGE_BYTES)
    async for chunk in _chunks():
        try:
            lines = reader.feed(chunk)
        except LineTooLong as error:
            output.write(jsonrpc.error_from(None, ParseError(str(error))))
            lines = error.before
        for line in lines:
            yield line


async def _chunks() -> AsyncIterator[bytes]:
    """Read in a thread: standard input may be a file, which no event loop can wait for."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    taken = threading.Semaphore(2)

    def read() -> None:
        chunk = b"begin"
        with contextlib.suppress(RuntimeError):  # the loop has ended before the input
            while chunk:
                taken.acquire()
                try:
                    chunk = os.read(sys.stdin.fileno(), _CHUNK_BYTES)
                except (OSError, ValueError):
                    chunk = b""
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while chunk := await chunks.get():
        yield chunk
        taken.release()
