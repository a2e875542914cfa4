"""What a server has asked of the one client of a connection, until it is answered.

A question names no call, so it travels on whichever of that client's waits. When that one ends
first, the question goes on with another; when there is none, the server hears so at once.

What comes while no call is under way is about none: it is put on the client's own stream, and waits
for that, or for a call, when there is none. Questions of tasks wait, too: they are asked with the
task's result, whenever the client comes for it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import orjson

from only1mcp._speedups import Envelope
from only1mcp.backends.call import ReplySink, Respond, refusal, related_task
from only1mcp.protocol.raw_object import fields

MAX_OPEN = 1000
MAX_EARLY = 16
PATIENCE_S = 600.0
"""How long a question waits for a call: the client may not come back for hours."""
_UNANSWERED = 32006
Find = Callable[[str | None], Iterable[ReplySink]]
"""Returns the calls that can carry a question, the newest first: of a task, those for its result.
"""


@dataclass(eq=False, slots=True)
class _Question:
    """One of them."""

    message: Envelope
    respond: Respond
    carrier: ReplySink | None = None
    """Who was asked last; None while it waits for a call."""
    stays: bool = False
    """Whether it belongs to the call that carries it."""
    is_free: bool = False
    """Whether it is about no call, so that it outlasts all that carry it."""
    timer: asyncio.TimerHandle | None = None

    @property
    def task(self) -> str | None:
        """The task that it belongs to."""
        return related_task(self.message)


class OpenQuestions:
    """Sees to it that each question is answered exactly once.

    Args:
        find: says which calls are under way.
    """

    def __init__(self, find: Find) -> None:
        self.keeps = True
        """Whether questions may wait for a call to come: only while all calls are one client's."""
        self._find = find
        self._stream: ReplySink | None = None
        """The client's own stream, if it has one open."""
        self._open: list[_Question] = []
        self._loads: Counter[ReplySink] = Counter()

    def put(self, message: Envelope, respond: Respond, call: ReplySink | None = None) -> None:
        """Put a question to the client, on the call that it came with if that is known."""
        if message.method == "ping":
            respond(refusal(message))
            return
        question = _Question(message, respond, stays=call is not None)
        carrier = call or self._least_loaded(question.task)
        if carrier is None and question.task is None:
            question.is_free, carrier = True, self._stream
        if len(self._open) >= MAX_OPEN or (carrier is None and not self._may_wait):
            respond(refusal(message))
            return
        self._open.append(question)
        if carrier is not None:
            self._ask(question, carrier)
        else:
            self._wait(question)

    def began(self) -> None:
        """Put what has waited for a call, or for the stream: there is one."""
        for question in [one for one in self._open if one.carrier is None]:
            carrier = self._carrier_of(question)
            if carrier is not None:
                self._ask(question, carrier)

    def follow(self, stream: ReplySink | None) -> None:
        """Put what is about no call on the client's own stream from now on, while it has one."""
        before, self._stream = self._stream, stream
        if before is not None:
            self.ended(before)
        self.began()

    def ended(self, call: ReplySink, *, replied: bool = False) -> None:
        """Ask again, elsewhere, what a call that has ended, or a stream, leaves unanswered.

        What the server did not wait for before it replied is about that call no more than others.
        """
        if not self._loads.pop(call, 0):
            return
        for question in [one for one in self._open if one.carrier is call]:
            question.carrier = None
            if replied:
                self._set_free(question)
            carrier = None if question.stays else self._carrier_of(question)
            if carrier is not None:
                self._ask(question, carrier)
            elif (question.is_free or question.task is not None) and self._may_wait:
                self._wait(question)
            else:
                self._refuse(question)

    def take_back(self, notice: Envelope) -> None:
        """Pass on that the server does not want an answer any more."""
        params = fields(notice.body[notice.params_start : notice.params_end])
        request_id = params.get("requestId")
        for question in [one for one in self._open if one.message.id == request_id]:
            self._close(question)
            if question.carrier is not None:
                question.carrier.on_message(notice)

    def clear(self) -> None:
        """Forget all: the server is gone."""
        for question in list(self._open):
            self._close(question)

    @property
    def _may_wait(self) -> bool:
        early = sum(question.carrier is None for question in self._open)
        return self.keeps and early < MAX_EARLY

    def _set_free(self, question: _Question) -> None:
        """Let a question go to the stream, unless it may be that of another call."""
        is_of_call = question.stays or question.task is not None
        if self._stream is not None and not is_of_call and self._least_loaded(None) is None:
            question.is_free = True

    def _carrier_of(self, question: _Question) -> ReplySink | None:
        """Return what can carry a question."""
        if question.is_free and self._stream is not None:
            return self._stream
        return self._least_loaded(question.task)

    def _least_loaded(self, task: str | None) -> ReplySink | None:
        """Return the call with the fewest questions: few need to be asked again when it ends.

        Among equals the newest, which most often is the one that the server asks about.
        """
        free = next((call for call in self._find(task) if not self._loads[call]), None)
        return free or min(self._find(task), key=self._loads.__getitem__, default=None)

    def _ask(self, question: _Question, carrier: ReplySink) -> None:
        if question.timer is not None:
            question.timer.cancel()
            question.timer = None
        question.carrier = carrier
        self._loads[carrier] += 1
        carrier.on_request(question.message, partial(self._answer, question, carrier))

    def _wait(self, question: _Question) -> None:
        loop = asyncio.get_running_loop()
        question.timer = loop.call_later(PATIENCE_S, self._refuse, question)

    def _answer(self, question: _Question, carrier: ReplySink, member: bytes) -> None:
        """Answer the server, unless somebody else was asked meanwhile."""
        if question in self._open and question.carrier is carrier:
            self._close(question)
            question.respond(member)

    def _refuse(self, question: _Question) -> None:
        self._close(question)
        text = f"no call of the client is under way that could carry {question.message.method}"
        error = orjson.dumps({"code": _UNANSWERED, "message": text})
        question.respond(b'"error":%b' % error)

    def _close(self, question: _Question) -> None:
        self._open.remove(question)
        if question.timer is not None:
            question.timer.cancel()
        carrier = question.carrier
        if carrier is not None and carrier in self._loads:
            self._loads[carrier] -= 1
            if not self._loads[carrier]:
                del self._loads[carrier]
