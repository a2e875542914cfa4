"""The stdio servers as a worker reaches them: over the link to the host."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from only1mcp._speedups import scan
from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.errors import BackendLost, BackendUnreachable, InvalidParams, Only1MCPError
from only1mcp.links.frames import Kind, fits
from only1mcp.links.link import Link, connect
from only1mcp.links.wire import CallFrame, decode_failure, decode_numbered, encode_numbered
from only1mcp.protocol import jsonrpc
from only1mcp.registry.catalogue import Catalogue
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
_RETRY_S = 0.05
PATIENCE_S = 5.0
"""How long a call waits for a host that is being replaced."""


class HostLink:
    """The link, made again whenever it breaks, and the calls on it."""

    def __init__(
        self, path: Path, tasks: Tasks, on_catalogue: Callable[[Catalogue], None],
        on_event: Callable[[dict[str, Any]], None], on_open: Callable[[], None],
    ) -> None:  # fmt: skip
        self._path = path
        self._tasks = tasks
        self._on_catalogue = on_catalogue
        self._on_event = on_event
        self._on_open = on_open
        self._link: Link | None = None
        self._token = 0
        self._sinks: dict[int, ReplySink] = {}
        self._unsent: dict[int, tuple[CallFrame, asyncio.TimerHandle]] = {}
        self.on_break: Callable[[], None] = lambda: None
        """Called when the host has left us; its other links end, too, but maybe a moment later."""

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._tasks.spawn(self._connect())

    def call(self, server_id: str, outgoing: Outgoing, sink: ReplySink, place: str = "") -> Cancel:
        """Send a call; while the host is away it waits, for `PATIENCE_S` at most.

        Args:
            server_id: whom to.
            outgoing: the call.
            sink: hears of its end.
            place: the number of the process that is to take it; empty for any.
        """
        self._token += 1
        token = self._token
        frame = CallFrame(
            server_id, outgoing.method, outgoing.params, outgoing.era.value,
            int(outgoing.features), outgoing.session, outgoing.level,
            outgoing.token.decode() if outgoing.token is not None else None, outgoing.own,
            place, outgoing.principal,
        )  # fmt: skip
        payload = frame.encode()
        if not fits(payload):
            sink.on_failure(InvalidParams(f"parameters of {len(payload)} bytes are too large"))
            return lambda: None
        self._sinks[token] = sink
        if self._link is None or not self._link.send(Kind.CALL, token, payload):
            loop = asyncio.get_running_loop()
            timer = loop.call_later(PATIENCE_S, self._give_up, token)
            self._unsent[token] = (frame, timer)
        return lambda: self._cancel(token)

    def note(self, payload: dict[str, Any]) -> None:
        """Tell the host something that concerns no call; lost while there is none."""
        if self._link is not None:
            self._link.send(Kind.NOTE, 0, orjson.dumps(payload))

    @property
    def is_open(self) -> bool:
        """Whether there is a host to hear us."""
        return self._link is not None

    def _cancel(self, token: int) -> None:
        if self._sinks.pop(token, None) is None:
            return
        if token in self._unsent:
            self._unsent.pop(token)[1].cancel()
        elif self._link is not None:
            self._link.send(Kind.CANCEL, token)

    def _give_up(self, token: int) -> None:
        frame, _ = self._unsent.pop(token)
        self._sinks.pop(token).on_failure(
            BackendUnreachable(f"the process that runs server {frame.server_id} is not there")
        )

    async def _connect(self) -> None:
        while True:
            try:
                self._link = await connect(self._path, self._make_link)
            except OSError:
                await asyncio.sleep(_RETRY_S)
            else:
                break
        self._on_open()  # before calls, which may take back what it is told there
        for token, (frame, timer) in list(self._unsent.items()):
            timer.cancel()
            self._link.send(Kind.CALL, token, frame.encode())
        self._unsent.clear()

    def _make_link(self) -> Link:
        return Link(self._on_frame, self._on_close)

    def _on_close(self, link: Link) -> None:
        del link
        _log.warning("the link to the host broke; connecting again")
        self._link = None
        self.on_break()
        sent = [token for token in self._sinks if token not in self._unsent]
        for token in sent:
            self._sinks.pop(token).on_failure(
                BackendLost("the process that runs the server ended during the call")
            )
        self._tasks.spawn(self._connect())

    def _on_frame(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        del link
        if kind is Kind.EVENT:
            self._take_event(payload)
            return
        sink = self._sinks.get(token)
        if sink is None:
            return
        if kind is Kind.MESSAGE:
            sink.on_message(scan(payload))
        elif kind is Kind.ASK:
            number, question = decode_numbered(payload)
            sink.on_request(scan(question), partial(self._respond, token, number))
        else:
            del self._sinks[token]
            if kind is Kind.REPLY:
                _deliver(sink, payload)
            elif kind is Kind.FAILED:
                sink.on_failure(decode_failure(payload))

    def _respond(self, token: int, number: int, member: bytes) -> None:
        if self._link is None:
            return
        if not fits(numbered := encode_numbered(number, member)):
            error = InvalidParams(f"the client's answer of {len(member)} bytes is too large")
            numbered = encode_numbered(number, jsonrpc.error_member(error))
        self._link.send(Kind.RESPOND, token, numbered)

    def _take_event(self, payload: bytes) -> None:
        event = orjson.loads(payload)
        if "catalogue" in event and "variant" not in event:
            self._on_catalogue(Catalogue.from_plain(event["catalogue"]))
        else:
            self._on_event(event)


def _deliver(sink: ReplySink, payload: bytes) -> None:
    try:
        reply = scan(payload)
    except Only1MCPError as error:
        sink.on_failure(error)
    else:
        sink.on_reply(reply)


class LinkedBackend:
    """One stdio server behind the link."""

    def __init__(self, server_id: str, link: HostLink) -> None:
        self._server_id = server_id
        self._link = link

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request; the returned function abandons it."""
        return self._link.call(self._server_id, outgoing, sink)

    async def close(self) -> None:
        """Nothing of ours is open at the server."""
