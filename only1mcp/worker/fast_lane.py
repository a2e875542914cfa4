"""What is rare in the fast lane: everything that its compiled part leaves to Python."""

import asyncio
from array import array
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from only1mcp._speedups import Envelope, Lane
from only1mcp.backends.call import Cancel
from only1mcp.backends.http_rules import check_id, message_of
from only1mcp.config.settings import Settings
from only1mcp.errors import BackendProtocolError, Forbidden, Only1MCPError
from only1mcp.ingress.fast_exchange import FastExchange
from only1mcp.ingress.turnstile import Turnstile
from only1mcp.ingress.unread import has_unread
from only1mcp.links.wire import decode_failure
from only1mcp.observability.metrics import BUCKETS_S
from only1mcp.process.context import Context
from only1mcp.protocol.headers import McpHeaders, encode_value
from only1mcp.protocol.versions import LEGACY_VERSIONS, Era
from only1mcp.proxy.answer import relay
from only1mcp.proxy.exchange import Request
from only1mcp.proxy.task_relay import unwanted_task
from only1mcp.routing.load_balancer import place_of_session
from only1mcp.tasks import until
from only1mcp.transports.streamable_http import (
    HttpAnswer,
    read_message,
)
from only1mcp.worker.callers import Callers
from only1mcp.worker.lane_ends import LaneEnds, era_of, stop
from only1mcp.worker.lane_events import LaneEvents
from only1mcp.worker.lane_failures import blame, failure_of, is_repeatable
from only1mcp.worker.lane_flights import landed, lead
from only1mcp.worker.lane_link import LaneLink, open_upstream
from only1mcp.worker.lane_pages import LanePages
from only1mcp.worker.lane_records import LaneRecords
from only1mcp.worker.plans import LEGACY, LEGACY_WITH_TASKS, Plans
from only1mcp.worker.surroundings import Surroundings

TICK_S = 0.25
LONGEST_S = 3600.0
"""How long a call to a server that was removed may go on, if the server keeps it alive."""
SWEEP_TICKS = 20
LINES_PER_TICK = 5
"""Bound on the access log's lines about calls that went well in the lane; and on those about calls
that an open breaker has refused.
"""


class FastLane:
    """Implements the helper of `only1mcp._speedups.lane_c.Lane`."""

    def __init__(self, around: Surroundings, context: Context) -> None:
        self._around, self._parts = around, around.parts
        self._context = context
        self._ticks = 0
        self._records = LaneRecords(around.parts, around.log, context.name)
        self.log, self.log_kept = self._records.log, self._records.log_kept
        self.log_shut = self._records.log_shut
        flights = around.pipeline.calls.flights
        self._plans = Plans(around.parts, context.shared.metrics_plan, flights)
        shared = context.shared
        self._callers = Callers(around.parts.access, shared)
        self._turnstile = Turnstile()
        self.caller = self._callers.owner
        loop = asyncio.get_running_loop()
        self.lane = Lane(
            loop, self, context.metrics.row, memoryview(array("d", BUCKETS_S)), shared.memory.epoch,
            shared.memory.revoked, self._callers.anyone(), around.limits.max_header,
            around.limits.max_body,
        )  # fmt: skip
        self.lane.max_held = around.limits.max_buffered
        self.lead, self.landed = partial(lead, self.lane), landed
        self._ends = LaneEnds(self.lane, self._records)
        self.goes_on, self.cancelled = self._ends.goes_on, self._ends.cancelled
        self.abandoned = self._ends.abandoned
        self._events = LaneEvents(self.lane, around.parts)
        self.event, self.event_reader = self._events.event, self._events.event_reader
        limit = around.limits.max_header
        self.answer_page = LanePages(self.lane, around.pages, around.tasks, limit).answer
        around.connections.held.bodies = self.lane
        self._link = LaneLink(self.lane, shared.runtime_dir.lane_socket, around.tasks)
        self._plans.carry(self.lane, self._link.line, shared.settings)
        around.parts.edition.on_change = self.lane.forget
        around.pipeline.inbox.cancel_carried = self._cancel
        self._timer = loop.call_later(TICK_S, self._tick)

    def reach_host(self) -> None:
        """Begin to make the link to the host, at first or again."""
        self._link.start()

    def leave_host(self) -> None:
        """Send nothing more to the host that is there: it has ended."""
        self._link.line.close()

    def _cancel(self, session: str, request_id: bytes) -> bool:
        """End a call at its client's wish, if it is one of ours."""
        found: bool = self.lane.cancel(session.encode("latin-1", "replace"), request_id)
        return found

    def _tick(self) -> None:
        self._ticks += 1
        self.lane.log_budget = self.lane.shut_budget = LINES_PER_TICK
        self.lane.tick()
        if self._ticks % SWEEP_TICKS == 0:
            self.lane.sweep(self._around.limits.idle_timeout_s)
            self.lane.forget_sessions()  # they expire
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def follow(self, settings: Settings) -> None:
        """Carry calls to the servers of other settings from now on."""
        for pool in self._plans.carry(self.lane, self._link.line, settings):
            self._around.tasks.spawn(self._retire(pool))
        self.lane.hosts.clear()
        self._callers.forget()
        self.lane.anyone = self._callers.anyone()
        self.lane.edition += 1
        self.lane.forget_sessions()
        self.lane.forget()

    def is_used(self, session: object) -> bool:
        """Say whether calls are under way on a session with a server."""
        return any(call.plan.ids is session for call in self.lane.calls)

    def is_on(self, opened: object) -> bool:
        """Say whether calls are under way on what was once opened there."""
        return any(call.plan.opened is opened for call in self.lane.calls)

    async def _retire(self, pool: Any) -> None:
        """Let calls to a server that was removed or changed come to their end."""
        pool.retire()
        await until(lambda: not pool.busy(), LONGEST_S, TICK_S)
        self.lane.dismiss(pool)

    def stop_keeping(self) -> None:
        """Let clients go, each with the answer to its next request."""
        self.lane.draining = True

    def drain(self) -> None:
        """Close connections on which nothing is under way."""
        self.lane.drain()

    def close(self) -> None:
        """End what is left."""
        self._timer.cancel()
        self._plans.close()
        self._link.close()
        self._turnstile.close()
        for front in list(self.lane.fronts):
            if front.transport is not None:
                front.transport.abort()

    # Connections of clients.

    def opened(self, front: Any) -> None:
        """Let a connection in; if there are too many, the guard refuses it."""
        connections = self._around.connections
        connections.open += 1
        if connections.open > connections.limit:
            front.leave()

    def closed(self, front: Any) -> None:
        """Count a connection that has gone, or that the guard counts from now on."""
        del front
        self._around.connections.open -= 1

    def paused(self, front: Any) -> None:
        """Count what a client leaves unread."""
        self._around.connections.held.paused(front.transport)

    def resumed(self, transport: Any) -> None:
        """Learn that a client has read on, or has gone."""
        self._around.connections.held.resumed(transport)

    def has_unread(self, front: Any) -> bool:
        """Say whether a request has come that nobody has read."""
        return has_unread(front.transport)

    def hand_over(self, transport: Any, data: bytes, timer: asyncio.TimerHandle | None) -> None:
        """Give a connection to aiohttp's door for good, and what is left of a request's time."""
        guard = self._around.make_guard()
        guard.due = None if timer is None else timer.when()
        transport.set_protocol(guard)
        transport.pause_reading()
        connections, lane, size = self._around.connections, self.lane, len(data)
        # Who is one connection too many comes without data, and is refused at once.
        waits = size > 0 and connections.held.fits(size, size)
        connections.open += 1  # those who wait count as well
        lane.held += size

        def let_in() -> None:
            connections.open -= 1
            lane.held -= size
            if not transport.is_closing():
                guard.connection_made(transport)
                transport.resume_reading()
                guard.data_received(data)

        if waits:
            self._turnstile.enter(let_in)
        else:
            let_in()

    def wait(self, front: Any) -> asyncio.TimerHandle:
        """Give the rest of a request its time."""
        loop = asyncio.get_running_loop()
        return loop.call_later(self._around.limits.header_timeout_s, front.give_up)

    def knows_host(self, host: bytes) -> bool:
        """Say whether we may be called by this name; yes is remembered."""
        try:
            self._around.origins.check(host.decode("latin-1"), None)
        except Forbidden:
            return False
        if len(self.lane.hosts) < 1000:
            self.lane.hosts[host] = True
        return True

    # Requests.

    def handle(
        self, front: Any, caller: Any, version: bytes | None, method: bytes | None,
        name: bytes | None, session: bytes | None, body: bytes,
    ) -> Cancel:  # fmt: skip
        """Take a message the common way."""
        headers = McpHeaders(_text(version), _text(method), _text(name), _text(session))
        return self._handle(front, caller, headers, body)

    def _handle(
        self, front: Any, caller: Any, headers: McpHeaders, body: bytes,
        spent_s: float | None = None, cache: str | None = None,
    ) -> Cancel:  # fmt: skip
        peer = front.transport.get_extra_info("peername") if front.transport is not None else None
        request = Request(
            headers, body, str(peer[0]) if peer else "", principal=caller.principal,
            is_charged=spent_s is not None, spent_s=spent_s or 0.0, cache=cache,
        )  # fmt: skip
        return self._around.pipeline.handle(request, FastExchange(front, self.lane))

    def refusal(self, server_id: str) -> Any:
        """Return how to refuse requests: a server has too much to do, or without one we have."""
        return self._around.shedding.refusal(server_id)

    def session(
        self, session: bytes, version: bytes | None, caller: Any
    ) -> tuple[bytes, int] | None:
        """Return a legacy session's features and its place among instances; None for no lane."""
        if version is not None and version.decode("latin-1") not in LEGACY_VERSIONS:
            return None
        headers = McpHeaders(session=session.decode("latin-1"))
        try:
            request = Request(headers, b"", "", principal=caller.principal)
            opened = self._around.pipeline.admission.open_session(request)
        except Only1MCPError:
            return None
        if opened.features or self._parts.marks.level(opened.serial) is not None:
            return None
        features = LEGACY_WITH_TASKS if opened.knows_tasks else LEGACY
        return features, place_of_session(opened.serial)

    def plan(self, envelope: Envelope, features: bytes, caller: Any) -> Any:
        """Return the plan for calls like this one, if the lane can carry them."""
        return self._plans.plan(envelope, features, caller.principal.grant)

    def ready(self, envelope: Envelope, features: bytes, caller: Any) -> Any:
        """Return the ready-made answer to requests like this one, if there is one."""
        return self._plans.ready(envelope, features, caller.principal.grant)

    def connect(self, pool: Any, connect: Callable[[Any], Awaitable[None]], upstream: Any) -> None:
        """Open one more connection to a server."""
        self._around.tasks.spawn(open_upstream(pool, connect, upstream))

    # Answers.

    def resume(self, call: Any, event_id: str, retry_ms: int | None) -> None:
        """Read on where the stream of a legacy server broke off."""
        broken = HttpAnswer(200, None, None, resume_from=event_id)
        if retry_ms is not None:
            broken.retry_s = retry_ms / 1000
        call.reading = self._around.tasks.spawn(self._resume(call, broken))

    async def _resume(self, call: Any, broken: HttpAnswer) -> None:
        _, _, server_id = call.plan.about
        try:
            reply = await call.plan.ids.resume(call.plan.opened, broken, partial(self.event, call))
            if reply.id != call.upstream_id:
                raise BackendProtocolError(f"server {server_id} answered another request")
        except Only1MCPError as error:
            self.lane.end(call)
            self._fail(call, error)
        else:
            self.lane.end(call)
            self.well(call)
            self.relay(call, reply)

    def well(self, call: Any) -> None:
        """Take note that an instance answers of which there was doubt."""
        call.plan.instances.is_well(call.plan.place)

    def relay(self, call: Any, reply: Envelope) -> None:
        """Answer with a reply that needs understanding."""
        era = era_of(call)
        leg = Era.LEGACY if call.plan.across else era
        method, _, server_id = call.plan.about
        try:
            if reply.result_type == "task":  # who allows for one takes the common way
                raise unwanted_task(server_id)
            if leg is Era.MODERN:
                principal = call.caller.principal.id
                reply = self._parts.means.states.sealed(reply, server_id, principal)
            answer, status = relay(call.envelope.id, reply, method, era, leg, False)
        except Only1MCPError as error:
            self._fail(call, error)
        else:
            self._ends.end(call, answer, status, reply=reply)

    def odd(self, call: Any, status: int, body: bytes) -> None:
        """Take an answer with another status, or of another kind.

        A legacy server that has forgotten the session did not run the call: it is sent again the
        common way, which opens a new one.
        """
        _, _, server_id = call.plan.about
        try:
            answer = HttpAnswer(status, None, read_message(server_id, status, body))
            check_id(server_id, call.upstream_id, answer)
            if call.plan.opened is not None and call.plan.opened.is_forgotten(answer):
                self.go_common(call)
                return
            reply = message_of(server_id, answer)
        except Only1MCPError as error:
            self._repeat_or_fail(call, error)
        else:
            self.well(call)
            self.relay(call, reply)

    def go_common(self, call: Any) -> None:
        """Send a call again the common way, which knows what to do with a server that is not up."""
        envelope = call.envelope
        target = envelope.uri if envelope.method == "resources/read" else envelope.name
        headers = McpHeaders(
            _text(call.version), envelope.method, encode_value(target), _text(call.session)
        )
        front, spent_s = call.front, self._parts.clock.monotonic() - call.began
        joined = None if call.flight is None else call.flight.disband()
        cache = None if joined is None else "miss"
        if front.transport is not None:
            cancel = self._handle(front, call.caller, headers, envelope.body, spent_s, cache)
            front.go_common(cancel)
        for again in joined or ():
            again()

    def failed(self, call: Any, payload: bytes) -> None:
        """Send a call again, or answer it with a failure that the host tells of."""
        self._repeat_or_fail(call, decode_failure(payload))

    def fail(self, call: Any, kind: str, error: Exception | None) -> None:
        """Answer a call that got no answer."""
        failed = failure_of(kind, call.plan.about[2], call.plan.timeout_s, error)
        if kind == "host":  # none of its servers is to blame
            self._ends.fail(call, failed)
        else:
            if kind in ("timeout", "cancelled"):
                stop(call)
            self._repeat_or_fail(call, failed)

    def _repeat_or_fail(self, call: Any, error: Only1MCPError) -> None:
        """Send a call again, the common way, which may choose another instance; or answer it."""
        if not is_repeatable(call, error):
            self._fail(call, error)
            return
        blame(call, error)
        self._records.attempted(call, error.reason)
        call.plan.instances.sent_again()
        self.go_common(call)

    def _fail(self, call: Any, error: Only1MCPError) -> None:
        blame(call, error)
        self._ends.fail(call, error)


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("latin-1")
