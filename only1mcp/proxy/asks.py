"""What legacy clients are asked on behalf of servers, until they answer.

The ids are ours and name the worker that waits, because the answer is a POST of its own, which may
reach any worker. An answer counts only when it comes in the session that was asked. One that has
crossed the word that its question is withdrawn is ignored, as 2025-11-25 (utilities/cancellation)
has it: the Python SDK gives up its whole session when an answer of its own is refused.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from only1mcp._speedups import Envelope
from only1mcp.errors import InvalidRequest, Overloaded
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.cancellation import cancellation

MAX_OPEN = MAX_WITHDRAWN = 10_000
PATIENCE_S = 600.0
"""How long a person has to answer."""
_PREFIX = "o1"
_UNANSWERED = b'"error":%b' % orjson.dumps({"code": 32006, "message": "the client did not answer"})

Send = Callable[[bytes], None]
OnAnswer = Callable[[bytes], None]
"""Takes the member `"result":…` or `"error":…` of the answer."""


@dataclass(slots=True)
class _Open:
    """A question that waits for its answer."""

    serial: int
    send: Send
    on_answer: OnAnswer
    timer: asyncio.TimerHandle


class Asks:
    """The open questions of one worker.

    Args:
        address: the worker's own, under which the others reach it.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._open: dict[bytes, _Open] = {}
        self._withdrawn: OrderedDict[bytes, int] = OrderedDict()
        """The sessions whose answers may still come, by the ids of questions."""

    def ask(
        self, serial: int, method: str, params: bytes, send: Send, on_answer: OnAnswer
    ) -> bytes:
        """Ask the client of a session through `send`; returns the id of the question.

        Raises:
            Overloaded: too many questions are open.
        """
        if len(self._open) >= MAX_OPEN:
            raise Overloaded("too many questions to clients are open")
        ask_id = orjson.dumps(f"{_PREFIX}-{self._address}-{secrets.token_hex(8)}")
        loop = asyncio.get_running_loop()
        timer = loop.call_later(PATIENCE_S, self._give_up, ask_id)
        self._open[ask_id] = _Open(serial, send, on_answer, timer)
        send(jsonrpc.request(ask_id, method, params))
        return ask_id

    def withdraw(self, ask_id: bytes) -> None:
        """Forget a question and tell the client, if it is still open."""
        entry = self._take(ask_id)
        if entry is not None:
            self._withdrawn[ask_id] = entry.serial
            if len(self._withdrawn) > MAX_WITHDRAWN:
                self._withdrawn.popitem(last=False)
            entry.send(cancellation(ask_id))

    def deliver(self, serial: int, answer: Envelope) -> None:
        """Take a client's answer.

        Raises:
            InvalidRequest: nobody waits for it in this session, or it came before.
        """
        if self._withdrawn.get(answer.id or b"") == serial:
            del self._withdrawn[answer.id or b""]
            return
        entry = self._open.get(answer.id or b"")
        if entry is None or entry.serial != serial:
            raise InvalidRequest(
                "nobody waits for this answer",
                hint="each request is answered once, in the session that it was sent to",
            )
        self._take(answer.id or b"")
        entry.on_answer(member(answer))

    def _give_up(self, ask_id: bytes) -> None:
        entry = self._open[ask_id]
        self.withdraw(ask_id)
        entry.on_answer(_UNANSWERED)

    def _take(self, ask_id: bytes) -> _Open | None:
        entry = self._open.pop(ask_id, None)
        if entry is not None:
            entry.timer.cancel()
        return entry


def member(answer: Envelope) -> bytes:
    """Return the member of a response that holds its outcome."""
    body: bytes = answer.body
    if answer.result_end:
        return b'"result":' + body[answer.result_start : answer.result_end]
    return b'"error":' + body[answer.error_start : answer.error_end]


def owner(answer_id: bytes | None) -> str | None:
    """Return the address of the worker that asked; None when the id is none of ours."""
    text = jsonrpc.as_string(answer_id or b"") or ""
    prefix, _, rest = text.partition("-")
    address, _, _ = rest.rpartition("-")
    return address if prefix == _PREFIX and address else None
