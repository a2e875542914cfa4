"""The process that reads and changes configuration files for control, there while it is needed.

The parsers take 17 MiB and 0.2 s to load. So they are not ours, and they stay for a while after a
reload, for another one is likely to follow (docs/adr/0012).
"""

import asyncio
import contextlib
import math
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any

import orjson

from only1mcp.config.problems import ConfigInvalid, problem_of
from only1mcp.config.refusals import EditRefused
from only1mcp.config.settings import Settings
from only1mcp.process.context import Source

KEEP_S = 120.0
EXPECT_AGAIN_S = 600.0
"""Until then nobody who opens the file is thought to change it when the one before did not."""
_JOB_S = 30.0
"""No file takes that long to read; one that does is not worth waiting for."""
_LINE_BYTES = 1 << 28
_COMMAND = (sys.executable, "-P", "-m", "only1mcp.config.reader")
"""`-P`: what lies in the folder that we were started in is no part of the program."""


class ReaderFailed(Exception):
    """It ended or crashed over a job, which says nothing about the file; the log says more."""


class ReaderEnded(ReaderFailed):
    """It ended without an answer."""


class Parsers:
    """Starts the process for the first job, and ends it some time after the last one."""

    def __init__(self, source: Source | None) -> None:
        self._source = source
        self._process: Process | None = None
        self._one_at_a_time = asyncio.Lock()
        self._end: asyncio.TimerHandle | None = None
        self._expected_at = -math.inf
        """When it was last started for a job that did not come yet."""

    async def load(self) -> Settings:
        """Read the configuration as the start did.

        Raises:
            ConfigInvalid: it cannot be used.
            ReaderFailed: it cannot be said whether it can be used.
            TimeoutError: likewise.
        """
        assert self._source is not None
        try:
            outcome = await self._ask({"what": "load"})
        except ReaderEnded:  # perhaps it had ended before: nobody changes a file again for that
            outcome = await self._ask({"what": "load"})
        return self._source.finish(Settings.from_plain(outcome["settings"]))

    async def change(self, what: str, subject: Any, how: dict[str, bool]) -> None:
        """Change the file by a function of `only1mcp.config.edit`.

        Raises:
            ConfigInvalid: it would have mistakes that it does not have now.
            EditRefused: there is nothing to change, or no safe way.
            OSError: it cannot be read or written.
            ReaderFailed: nothing is known of what has become of it.
            TimeoutError: likewise.
        """
        await self._ask({"what": what, "subject": subject, "how": how})

    def is_cold(self) -> bool:
        """Whether the next job would have to wait, and one is to be thought of."""
        now = asyncio.get_running_loop().time()
        return not self._is_there and now - self._expected_at > EXPECT_AGAIN_S

    async def expect(self) -> None:
        """Have the process there for a job that is likely to come."""
        async with self._one_at_a_time:
            if self.is_cold():
                self._expected_at = asyncio.get_running_loop().time()
                await self._there()
                self._keep()

    async def aclose(self) -> None:
        """End the process, whatever it does; a loop cannot be closed while it is there."""
        if self._end is not None:
            self._end.cancel()
        if self._process is not None:
            await _kill(self._process)

    @property
    def _is_there(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def _keep(self) -> None:
        """Let it stay from now on for as long as it does."""
        if self._end is not None:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(KEEP_S, self._retire)

    def _retire(self) -> None:
        """Let the process end; the next job starts another one."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()

    async def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self._source is not None
        path = None if self._source.path is None else str(self._source.path)
        told = {**job, "path": path, "environment": dict(self._source.environment)}
        async with self._one_at_a_time:
            self._expected_at = -math.inf
            if self._end is not None:
                self._end.cancel()
            try:
                async with asyncio.timeout(_JOB_S):
                    line = await self._told(orjson.dumps(told) + b"\n")
            finally:
                self._keep()
        return _judged(orjson.loads(line))

    async def _there(self) -> Process:
        """Return the process, started if there is none."""
        if self._process is None or not self._is_there:
            self._process = await asyncio.create_subprocess_exec(
                *_COMMAND, stdin=PIPE, stdout=PIPE, start_new_session=True, limit=_LINE_BYTES
            )
        return self._process

    async def _told(self, line: bytes) -> bytes:
        """Hand a job over and wait for its outcome; whoever gives up leaves no process behind."""
        process = await self._there()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line)
            answer = await process.stdout.readline()
        except BaseException:
            self._process = None
            await _kill(process)
            raise
        if not answer:
            self._process = None
            await _kill(process)
            raise ReaderEnded("the process that reads configurations has ended")
        return answer


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _judged(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return what came of a job, or raise what went wrong there."""
    if "problems" in outcome:
        raise ConfigInvalid(problem_of(plain) for plain in outcome["problems"])
    if "refused" in outcome:
        said = outcome["refused"]
        refusal = EditRefused(said["message"], said["hint"])
        refusal.code, refusal.http_status = said["code"], said["http_status"]
        raise refusal
    if "os_error" in outcome:
        raise OSError(outcome["os_error"])
    if "crash" in outcome:
        raise ReaderFailed(f"the configuration could not be read: {outcome['crash']}")
    return outcome
