"""A child process that speaks MCP on its standard input and output (basic/transports/stdio).

The child is started through `only1mcp.sandbox.launcher`, in a session of its own, without a shell.
Its standard error is always drained, so that a chatty child never blocks.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from only1mcp.errors import BackendUnreachable
from only1mcp.protocol.lines import LineReader, LineSkipper, LineTooLong, SkippedLine
from only1mcp.sandbox import launcher
from only1mcp.transports.channel import MAX_MESSAGE_BYTES, MAX_UNSENT_BYTES, ChannelObserver

MAX_LINE_BYTES = MAX_MESSAGE_BYTES
MAX_SKIPPED_BYTES = 16 * MAX_MESSAGE_BYTES
"""A line that goes on after that has no end; the child is ended."""
_STDERR_LINE_BYTES = 16 * 1024
DRAIN_S = 0.5
"""How long the output of a child that ended is read on while somebody else holds it open."""


class ChildProcess:
    """One running child."""

    def __init__(self, process: subprocess.Popen[bytes], observer: ChannelObserver) -> None:
        self.pid = process.pid
        self.exited = asyncio.Event()
        self._process = process
        self._observer = observer
        self._stdin: asyncio.WriteTransport | None = None
        self._outputs: set[_Output] = set()
        """The pipes that are still open at the child's end."""
        self._pidfd = os.pidfd_open(process.pid)
        self._fault: str | None = None
        self._reason: str | None = None
        self._patience: asyncio.TimerHandle | None = None

    @classmethod
    async def spawn(
        cls, command: Sequence[str], env: Mapping[str, str], cwd: str | None,
        observer: ChannelObserver,
    ) -> "ChildProcess":  # fmt: skip
        """Start a child.

        Raises:
            BackendUnreachable: the program or its directory cannot be used.
        """
        try:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - vfork takes a millisecond; argument list, no shell
                [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=dict(env), cwd=cwd, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise BackendUnreachable(f"cannot start {command[0]}: {reason}") from error
        child = cls(process, observer)
        connecting = asyncio.get_running_loop().create_task(child._connect())
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            await connecting  # only a child that is connected can be ended properly
            child.kill()
            await child.exited.wait()
            raise
        return child

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        process = self._process
        out = _Messages(LineSkipper(MAX_LINE_BYTES), self._observer, self._ended, self._overlong)
        err = _Pipe(LineReader(_STDERR_LINE_BYTES), self._observer.on_stderr, self._ended)
        self._outputs |= {out, err}
        await loop.connect_read_pipe(lambda: out, process.stdout)
        await loop.connect_read_pipe(lambda: err, process.stderr)
        self._stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
        loop.add_reader(self._pidfd, self._reap)

    def write(self, message: bytes) -> bool:
        """Send one message; False when the child no longer takes any."""
        return self.write_lines(one_line(message) + b"\n")

    def write_lines(self, lines: bytes) -> bool:
        """Send whole lines, all or none; False when the child no longer takes any."""
        stdin = self._stdin
        if stdin is None or stdin.is_closing():
            return False
        if stdin.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return False
        stdin.write(lines)
        return True

    async def stop(self, grace_s: float) -> None:
        """End the child as the specification says: close its input, wait, SIGTERM, SIGKILL."""
        if self._stdin is not None:
            self._stdin.close()
        for number in (None, signal.SIGTERM):
            if number is not None:
                self._signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self.exited.wait()
                break
        self.kill()
        await self.exited.wait()

    def kill(self) -> None:
        """Kill the child and all processes below it at once."""
        for pid in descendants(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """Signal the child's whole process group; it leads one of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _overlong(self) -> None:
        self._fault = f"a line of more than {MAX_SKIPPED_BYTES} bytes"
        self.kill()

    def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = self._process.wait()
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.abort()
        self._signal(signal.SIGKILL)  # what is left of its group
        self._reason = self._fault or _reason(code)
        # What it wrote before it ended is still in the pipes: read that first.
        self._patience = loop.call_later(DRAIN_S, self._close_outputs)
        self._report()

    def _close_outputs(self) -> None:
        """Read no more: the other end may be open for ever, in a process that the child left."""
        for output in list(self._outputs):
            output.close()

    def _ended(self, output: "_Output") -> None:
        self._outputs.discard(output)
        self._report()

    def _report(self) -> None:
        """Tell of the exit, once nothing can come before it any more."""
        if self._reason is None or self._outputs:
            return
        if self._patience is not None:
            self._patience.cancel()
        self.exited.set()
        self._observer.on_exit(self._reason)


class _Output(asyncio.Protocol):
    """Reads one of the child's pipes."""

    def __init__(self, on_end: Callable[["_Output"], None]) -> None:
        self._on_end = on_end
        self._transport: asyncio.ReadTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.ReadTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._on_end(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Pipe(_Output):
    """Reads lines of text; of one that is too long the beginning is dropped."""

    def __init__(
        self, reader: LineReader, on_line: Callable[[bytes], None],
        on_end: Callable[[_Output], None],
    ) -> None:  # fmt: skip
        super().__init__(on_end)
        self._reader = reader
        self._on_line = on_line

    def data_received(self, data: bytes) -> None:
        try:
            lines = self._reader.feed(data)
        except LineTooLong as error:
            lines = error.before
        for line in lines:
            self._on_line(line)


class _Messages(_Output):
    """Reads messages; one that is too large is told of, one without an end is not borne."""

    def __init__(
        self, reader: LineSkipper, observer: ChannelObserver, on_end: Callable[[_Output], None],
        on_endless: Callable[[], None],
    ) -> None:  # fmt: skip
        super().__init__(on_end)
        self._reader = reader
        self._observer = observer
        self._on_endless = on_endless

    def data_received(self, data: bytes) -> None:
        lines = self._reader.feed(data)
        if lines and isinstance(lines[0], SkippedLine):  # it began before all others
            self._observer.on_skipped(lines[0])
            del lines[0]
        self._observer.on_lines(cast("list[bytes]", lines))
        if self._reader.skipped_bytes > MAX_SKIPPED_BYTES:
            self.close()
            self._on_endless()


def one_line(message: bytes) -> bytes:
    """Write a JSON message without line ends.

    Clients may send them between tokens, and here each would end the message: what follows would be
    read as a message of its own, with an id of the client's choice. Inside strings JSON has none.
    """
    return message.replace(b"\r", b" ").replace(b"\n", b" ")


def _reason(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # the signals of real time have no names
        return f"killed by signal {-code}"


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below one, as far as their parents still live."""
    children = process_tree()
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def process_tree() -> dict[int, list[int]]:
    """Return the children of every process that has some."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parent = int(stat.rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    return children
