"""Sends calls when they are due, from one process, whatever the answers do."""

import asyncio
import gc
import resource
import time
from collections import deque

from only1mcp.benchmark.connection import Connection
from only1mcp.benchmark.endpoint import Endpoint
from only1mcp.benchmark.message import FIRST, OK, Messages
from only1mcp.benchmark.plan import LEGACY, CannotMeasure, Plan
from only1mcp.benchmark.report import Report
from only1mcp.benchmark.response import Response
from only1mcp.benchmark.schedule import Even, Schedule
from only1mcp.benchmark.ticker import Ticker
from only1mcp.tasks import Tasks

_FINEST_S = 0.0002
"""Ticks do not come closer than this: several calls may be due at one."""
_WATCH_S = 0.05
"""How often calls are looked for that have taken too long."""


class Generator:
    """One run of one process: `prepare`, then `run`.

    Args:
        plan: what to send.
        schedule: when, if not at the plan's rate all the time.
    """

    def __init__(self, plan: Plan, schedule: Schedule | None = None) -> None:
        self.report = Report()
        self._plan = plan
        self._schedule = schedule or Even(plan.rate)
        self._endpoint = Endpoint(plan)
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[float] = deque()
        """When the calls were due that found no connection."""
        self._due = 0
        """How many calls have come due."""
        self._total = plan.calls
        self._next_number = FIRST
        self._tasks = Tasks()
        self._done = asyncio.Event()

    async def prepare(self) -> None:
        """Connect, open a session if the era has them, and see one call go well.

        Raises:
            CannotMeasure: that is not possible.
        """
        _raise_file_limit(self._plan.max_connections + 64)
        await self._endpoint.find()
        session = await self._endpoint.open_session() if self._plan.era == LEGACY else None
        self._messages = Messages(self._plan, self._endpoint.target, session)
        number = self._take_number()
        response = await self._endpoint.ask(self._messages.write(number))
        outcome, detail = self._messages.judge(number, response)
        if outcome != OK:
            message = f"the first call did not go well: {outcome}: {detail}"
            raise CannotMeasure("CALL_FAILED", message, "only1mcp tools list shows what there is")
        count = min(self._plan.connections, self._plan.max_connections)
        await asyncio.gather(*(self._connect() for _ in range(count)))

    async def run(self, start: float) -> Report:
        """Send all calls from that moment of the monotonic clock on; returns what came of them."""
        self._start = start
        gc.collect()
        gc.freeze()  # no pause of ours shall look like one of the server's
        cpu = _cpu_seconds()
        tickers = [
            Ticker(start, max(1 / self._plan.rate, _FINEST_S), self._tick),
            Ticker(start, _WATCH_S, self._watch),
        ]  # fmt: skip
        try:
            await self._done.wait()
        finally:
            for ticker in tickers:
                ticker.close()
            gc.unfreeze()
        self.report.elapsed_s = max(time.monotonic() - start, 0.0)
        self.report.cpu_s = _cpu_seconds() - cpu
        self.report.unfinished = self._under_way()
        await self._close()
        return self.report

    def stop(self) -> None:
        """End the run now, with what there is."""
        self.report.interrupted = not self._done.is_set()
        self._total = self._due
        self._done.set()

    def answered(self, connection: Connection, response: Response) -> None:
        """Check an answer, and give the connection its next call."""
        now = time.monotonic()
        outcome, detail = self._messages.judge(connection.number, response)
        self.report.record(outcome, now - connection.due, detail)
        self.report.served(outcome, now - connection.sent)
        connection.number = 0
        self._free(connection)

    def failed(self, connection: Connection, kind: str, detail: str) -> None:
        """Count a call that is lost."""
        self.report.record(kind, time.monotonic() - connection.due, detail)
        connection.number = 0
        self._check_end()

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._open_more()

    def _tick(self) -> None:
        now = time.monotonic()
        due = min(self._schedule.due(now - self._start), self._total)
        while self._due < due:
            moment = self._start + self._schedule.moment(self._due)
            self._due += 1
            if self._idle:
                self._send(self._idle.popleft(), moment)
            else:
                self._waiting.append(moment)
                self._open_more()

    def _send(self, connection: Connection, due: float) -> None:
        number = self._take_number()
        now = time.monotonic()
        self.report.lateness.record(now - due)
        connection.send(self._messages.write(number), number, due, now)

    def _free(self, connection: Connection) -> None:
        if connection.is_open and self._waiting:
            self._send(connection, self._waiting.popleft())
        elif connection.is_open:
            self._idle.append(connection)
            self._check_end()
        else:
            self._check_end()

    def _open_more(self) -> None:
        room = self._plan.max_connections - len(self._all) - self._opening
        if room > 0 and len(self._waiting) > self._opening:
            self._opening += 1
            self._tasks.spawn(self._open())

    async def _open(self) -> None:
        """Open one more connection, or spoil the call that has waited longest."""
        try:
            connection = await self._endpoint.connect(self)
        except OSError as error:
            if self._waiting:
                self._give_up("cannot connect", str(error) or type(error).__name__)
            return
        finally:
            self._opening -= 1
        self._add(connection)

    async def _connect(self) -> None:
        try:
            self._add(await self._endpoint.connect(self))
        except OSError as error:
            raise CannotMeasure(
                "UNREACHABLE", f"{self._plan.url} cannot be reached: {error}"
            ) from None

    def _add(self, connection: Connection) -> None:
        self._all.add(connection)
        self.report.connections = max(self.report.connections, len(self._all))
        self._free(connection)

    def _watch(self) -> None:
        """Give up what has taken too long."""
        limit = time.monotonic() - self._plan.timeout_s
        for connection in [one for one in self._all if one.number and one.sent < limit]:
            self.failed(connection, "timeout", f"no answer in {self._plan.timeout_s:g} s")
            connection.abort()
        while self._waiting and self._waiting[0] < limit:
            self._give_up("never sent", "no connection was free in time")
        self._check_end()

    def _give_up(self, kind: str, detail: str) -> None:
        self.report.record(kind, time.monotonic() - self._waiting.popleft(), detail)
        self._check_end()

    def _under_way(self) -> int:
        return len(self._waiting) + sum(1 for one in self._all if one.number)

    def _check_end(self) -> None:
        if self._due >= self._total and not self._waiting and not self._under_way():
            self._done.set()

    def _take_number(self) -> int:
        self._next_number += 1
        return self._next_number

    async def _close(self) -> None:
        await self._tasks.cancel_all()
        for connection in list(self._all):
            connection.number = 0
            connection.abort()


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
