"""One call under way: from the route to the answer, with all that flows in between."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Backend, Cancel, Outgoing, Respond, refusal
from only1mcp.errors import BackendTimeout, Only1MCPError
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.input_required import url_elicitations, write_input_required
from only1mcp.protocol.subscriptions import SUBSCRIPTIONS, is_of_session
from only1mcp.protocol.versions import Era
from only1mcp.proxy.answer import relay, success
from only1mcp.proxy.asks import Asks
from only1mcp.proxy.conversation import Outlet
from only1mcp.proxy.exchange import Answer
from only1mcp.proxy.notices import Notices
from only1mcp.proxy.outbound import choose_leg, client_features, client_token, outgoing
from only1mcp.proxy.parking import Parking
from only1mcp.proxy.questions import Questions, make_questions, objection
from only1mcp.proxy.rounds import Rounds, wants_input
from only1mcp.proxy.states import States
from only1mcp.proxy.task_ids import TaskIds
from only1mcp.proxy.task_relay import TaskRelay
from only1mcp.proxy.worth import Attempt, Worth, worth_of
from only1mcp.registry.snapshot import Snapshot
from only1mcp.routing.router import Route
from only1mcp.sessions.session import Session

OnAttempt = Callable[[str, str, float], None]
"""Takes a server's id, the metric status of one attempt on it, and its seconds."""


@dataclass(frozen=True, slots=True)
class Means:
    """What calls of a worker share."""

    backends: Mapping[str, Backend]
    hosted: Mapping[str, Backend]
    """The same servers as the host holds them: subscriptions are its business, and so are
    connections on which a server may ask its client something."""
    timeouts_s: Mapping[str, float]
    asks: Asks
    parking: Parking
    task_ids: TaskIds
    states: States
    on_attempt: OnAttempt
    new_token: Callable[[], bytes]
    """Returns a progress token that no other call has."""
    on_aside: Callable[[str, Envelope], None]
    """Takes a server's id, and what it said on a call's stream that is about more than the call."""


class Call:
    """Asks the servers of a route, one after the other if need be, until one has an answer."""

    def __init__(
        self, inbound: Inbound, session: Session | None, route: Route, snapshot: Snapshot,
        means: Means, outlet: Outlet, level: int | None,
    ) -> None:  # fmt: skip
        self._inbound = inbound
        self._session = session
        self._route = route
        self._snapshot = snapshot
        self._means = means
        self._outlet: Outlet | None = outlet
        self._level = level
        self._asked = 0
        self._best: Attempt | None = None
        self._leg = inbound.era
        self._began = 0.0
        self.spent_s = 0.0
        """How much of the first server's time is over."""
        self._sent: Outgoing | None = None
        self._cancel: Cancel | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._kept: Callable[[], None] | None = None
        """Takes the end, when it came while no request of the client was there to answer."""
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskRelay(means.task_ids, inbound, session, route)
        own = client_token(inbound)
        self._token = None if own is None else self._tasks.token(own) or means.new_token()
        self._notices = Notices(inbound, own, self._token, level)
        # Both hold the call. They are made when a server asks, and dropped at the end: what holds
        # itself is freed by the collector only, which took a twentieth of a call's time.
        self._questions: Questions | None = None
        self._rounds: Rounds | None = None
        self.reply: Envelope | None = None
        """What a server has answered that is passed on."""
        self.features: Feature = client_features(inbound, session)
        """What servers may ask of the client."""

    @property
    def server_id(self) -> str:
        """The server that is being asked."""
        return self._route.server_ids[self._asked]

    @property
    def inbound(self) -> Inbound:
        """The client's request, as it first came."""
        return self._inbound

    def start(self) -> None:
        """Send the call; its end reaches the outlet, at the latest after the server's timeout."""
        self._leg = choose_leg(self._inbound.era, self.server_id, self._snapshot)
        self.send(
            outgoing(self._inbound, self._session, self._route, self._leg, self._token, self._level)
        )

    def send(self, request: Outgoing) -> None:
        """Send one request to the server that is being asked."""
        self._began = self._loop.time()
        self.keep_time()
        asked, rounds = self._asked, self._rounds
        if self._leg is Era.MODERN and self._session is not None and rounds is None:
            self._rounds = Rounds(self, self._session, request, self._means.asks)
        means = self._means
        is_hosted = request.features or request.own or request.method in SUBSCRIPTIONS
        self._sent = request
        backends = means.hosted if is_hosted else means.backends
        cancel = backends[self.server_id].call(request, self)
        if not self._ended and self._asked == asked:  # no answer already, on the way
            self._cancel = cancel

    def abandon(self) -> None:
        """Stop: the client has gone."""
        if not self._ended:
            self._attempt_ended("cancelled")
            self._stop()

    def keep_time(self) -> None:
        """Give the server its time, from now on; the result of a task takes what it takes."""
        self.stop_time()
        if self._inbound.method is not None and self._inbound.method.waits:
            return
        timeout_s = self._means.timeouts_s[self.server_id]
        left_s, self.spent_s = max(timeout_s - self.spent_s, 0.0), 0.0
        self._timer = self._loop.call_later(left_s, self._time_out, timeout_s)

    def stop_time(self) -> None:
        """Wait for the client instead, who is not the server's fault."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_message(self, message: Envelope) -> None:
        """Pass a notification on, if it is for this client and not for all."""
        if message.method == "notifications/cancelled":
            if self._questions is not None:
                self._questions.withdraw(message)
            return
        if is_of_session(message.method):
            self._means.on_aside(self.server_id, message)
            return
        passed = self._tasks.status(message) or self._notices.passed(self._tasks.message(message))
        if message.method == "notifications/progress" and self._timer is not None:
            self.keep_time()  # a server that makes progress is alive
        if passed is not None:
            self.say(passed)

    def on_request(self, message: Envelope, respond: Respond) -> None:
        """Put a legacy server's question to the client; a modern one has other means."""
        is_modern = self._leg is Era.MODERN
        no = refusal(message) if is_modern else objection(message, self.features)
        if no is not None:
            respond(no)
        else:
            if self._questions is None:
                asks, parking = self._means.asks, self._means.parking
                self._questions = make_questions(self, self._session, asks, parking)
            self._questions.put(*self._tasks.question(message, respond))

    def on_reply(self, reply: Envelope) -> None:
        """Answer the client, or ask the next server when this one has only an error to give."""
        self._cancel = None
        if self.is_paused:  # the answer is to bear the id of the client's next request
            self._kept = partial(self.on_reply, reply)
            return
        if self._rounds is not None and wants_input(reply):
            self._rounds.begin(reply)
            return
        request_id, method = self._inbound.envelope.id, self._inbound.method
        assert request_id is not None
        assert method is not None
        try:
            place = self._sent.place if self._sent is not None else ""
            reply = self._tasks.reply(reply, self._leg, place)
            if self._leg is Era.MODERN and self._inbound.era is Era.MODERN:
                reply = self._means.states.sealed(reply, self.server_id, self._inbound.principal)
            answer, status = self._url_first(reply) or relay(
                request_id, reply, method.name, self._inbound.era, self._leg,
                self._route.wraps_output,
            )  # fmt: skip
        except Only1MCPError as error:
            self.on_failure(error)
            return
        self._attempt_ended(status)
        if status == "ok":
            self.reply = reply
            self.end(answer, status)
        else:
            self._go_on(Attempt(worth_of(reply), self._asked, answer, status))

    def _url_first(self, reply: Envelope) -> tuple[Answer, str] | None:
        """Ask a modern client for what a legacy server wants done before the call is sent again.

        Source: 2025-11-25, client/elicitation (URLElicitationRequiredError, -32042).
        """
        request_id = self._inbound.envelope.id
        is_across = self._inbound.era is Era.MODERN and self._leg is Era.LEGACY
        if not is_across or reply.result_end or not self.features & Feature.ELICIT_URL:
            return None
        wanted = url_elicitations(reply.body[reply.error_start : reply.error_end])
        if not wanted or request_id is None:
            return None
        return success(request_id, write_input_required(wanted, None)), "ok"

    def on_failure(self, error: Only1MCPError) -> None:
        """Answer the client with the failure, unless another server may have what it wants."""
        self._cancel = None
        if self.is_paused:
            self._kept = partial(self.on_failure, error)
            return
        self._attempt_ended(error.reason)
        self._go_on(Attempt(Worth.FAILED, self._asked, error, error.reason))

    def _go_on(self, attempt: Attempt) -> None:
        """Ask the next server; after the last one, end with what says most."""
        best = self._best
        if best is None or attempt.worth >= best.worth:
            self._best = best = attempt
        if self._asked + 1 == len(self._route.server_ids):
            self._asked = best.asked
            self.end(best.outcome, best.status)
            return
        self._asked += 1
        self._take_back_questions()
        self.start()

    def _time_out(self, timeout_s: float) -> None:
        if self._sent is not None:
            self._sent.timed_out = True
        if self._cancel is not None:
            self._cancel()
        self.on_failure(
            BackendTimeout(
                f"server {self.server_id} did not answer within {timeout_s:g} s",
                hint="the call may still run there; raise `timeout` if it needs longer",
            )
        )

    def _attempt_ended(self, status: str) -> None:
        self._means.on_attempt(self.server_id, status, self._loop.time() - self._began)

    def say(self, message: bytes) -> None:
        """Send the client a message, if it listens now."""
        if self._outlet is not None:
            self._outlet.message(message)

    def end(self, outcome: Answer | Only1MCPError, status: str) -> None:
        """End the call."""
        self._cancel = None
        self._stop()
        if self._outlet is not None:
            self._outlet.end(outcome, status)

    @property
    def is_paused(self) -> bool:
        """Whether no request of the client is there to answer."""
        return self._outlet is None

    def pause(self, answer: Answer) -> None:
        """Answer the client's request for now; the call itself goes on."""
        outlet, self._outlet = self._outlet, None
        self.stop_time()
        if outlet is not None:
            outlet.end(answer, "ok")

    def resume(self, inbound: Inbound, outlet: Outlet, responses: Mapping[str, bytes]) -> None:
        """Go on with the client's next request, which brings what the server asked for."""
        self._inbound = inbound
        self._outlet = outlet
        self._notices.continue_with(inbound)
        kept, self._kept = self._kept, None
        if kept is not None:
            kept()
            return
        self.keep_time()
        if self._questions is not None:
            self._questions.resume(responses)

    def _stop(self) -> None:
        self._ended = True
        self.stop_time()
        self._take_back_questions()
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _take_back_questions(self) -> None:
        asked = self._questions, self._rounds
        self._questions = self._rounds = None
        for questions in asked:
            if questions is not None:
                questions.close()
