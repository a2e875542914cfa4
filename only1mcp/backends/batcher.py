"""Lets requests to one server travel together: a JSON-RPC batch (2025-03-26, basic, Batching).

The first request waits for others, for a short time; then all go as one POST. Whoever asked sees
no difference: each has its own answer, its own time and its own failure.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from only1mcp.backends.batch import Batch, Member
from only1mcp.errors import BackendLost, Only1MCPError
from only1mcp.registry.server import Batching
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import HttpAnswer, StreamableHttp

REVISION = "2025-03-26"
"""The only one in which every server takes batches."""
_BROKEN = (500, 501)
"""Said by servers that never thought of arrays; whether any of it ran, nobody knows."""
OnBatch = Callable[[str, int], None]
"""Takes a server's id, and how many requests were sent to it together."""
_log = logging.getLogger(__name__)


def uncounted(server_id: str, members: int) -> None:
    """Count nothing."""


class Batcher:
    """Collects the requests of one process to one address.

    A session on which the server has refused a batch gets no other: the next one may be with
    another server, or with one that is configured otherwise.
    """

    def __init__(
        self, name: str, wire: StreamableHttp, policy: Batching, tasks: Tasks, on_batch: OnBatch
    ) -> None:
        self._name = name
        self._wire = wire
        self._policy = policy
        self._tasks = tasks
        self._on_batch = on_batch
        self._collecting: Batch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refused_on: object = None

    def takes(self, opened: object, version: str) -> bool:
        """Say whether requests on a session can travel together."""
        knows = version == REVISION or self._policy.any_revision
        return knows and opened is not self._refused_on

    async def send(
        self, member: Member, opened: object, headers: Mapping[str, str],
        reply: Callable[[bytes], None],
    ) -> HttpAnswer | None:  # fmt: skip
        """Send a request with others and return its answer; None when it is to go alone.

        Raises:
            BackendError: there is none.
        """
        batch = self._collecting
        if batch is not None and not (batch.opened is opened and batch.has_room(member)):
            self._flush()
            batch = None
        if batch is None:
            batch = self._collecting = Batch(self._name, opened, headers, reply)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._policy.window_s, self._flush)
        batch.add(member)
        if len(batch) >= self._policy.most:
            self._flush()
        return await member.answer

    def _flush(self) -> None:
        """Send what has come together."""
        batch, self._collecting = self._collecting, None
        if self._timer is not None:
            self._timer.cancel()
        if batch is None or len(batch) == 0:
            return
        if len(batch) == 1 or batch.opened is self._refused_on:
            batch.dissolve()
            return
        self._on_batch(self._name, len(batch))
        self._tasks.spawn(self._carry(batch))

    async def _carry(self, batch: Batch) -> None:
        try:
            answer = await batch.carry(self._wire)
            is_refused = batch.is_refused(answer)
            if is_refused or answer.status in _BROKEN:
                self._give_up(batch, answer)
            if is_refused:
                batch.dissolve()
            batch.settle(answer)
        except Only1MCPError as error:
            batch.fail(error)
        finally:  # whatever happens, nobody waits for ever
            batch.fail(BackendLost(f"server {self._name} got a batch that was given up"))

    def _give_up(self, batch: Batch, answer: HttpAnswer) -> None:
        """Send no more batches on this session."""
        if self._refused_on is not batch.opened:
            self._refused_on = batch.opened
            _log.warning(
                "the server takes no batches (HTTP %d): its calls travel alone from now on",
                answer.status, extra={"server": self._name},
            )  # fmt: skip
