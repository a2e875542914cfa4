"""The links between workers: a request that reached the wrong one is answered by the right one."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from only1mcp.auth.access import Access
from only1mcp.backends.call import Cancel
from only1mcp.errors import Only1MCPError
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, connect, serve
from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.exchange import Answer, Exchange, Request
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
_ADDRESS = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})", re.ASCII)
Handle = Callable[[Request, Exchange], Cancel]


class WorkerPeers:
    """Implements `only1mcp.proxy.peers.Peers`, and serves the other workers.

    A worker's address is the number of its edition and its own, as `2.0`.
    """

    def __init__(
        self, directory: Path, index: int, workers: Callable[[], Iterable[int]], tasks: Tasks,
        access: Access,
    ) -> None:  # fmt: skip
        self._access = access
        self.address = f"{directory.name.removeprefix('g')}.{index}"
        self._directory = directory
        self._edition = self.address.partition(".")[0]
        self._workers = workers
        self._tasks = tasks
        self._links: dict[str, Link] = {}
        self._connecting = asyncio.Lock()
        self._token = 0
        self._waiting: dict[int, tuple[Link, Exchange, Callable[[], None]]] = {}
        self._served: dict[tuple[Link, int], Cancel] = {}
        self._handle: Handle | None = None
        self._stream: Handle | None = None
        self._post: Handle | None = None
        self._server: asyncio.AbstractServer | None = None

    async def serve(self, handle: Handle, stream: Handle, post: Handle) -> None:
        """Begin to answer what other workers forward."""
        self._handle, self._stream, self._post = handle, stream, post
        self._server = await serve(self._path(self.address), self._accept)

    def close(self) -> None:
        """Take no more from others, and ask them for nothing more."""
        if self._server is not None:
            self._server.close()
        for link in self._links.values():
            link.close()

    def forward(
        self, address: str, request: Request, exchange: Exchange, on_gone: Callable[[], None]
    ) -> Cancel:
        """Let another worker answer."""
        return self._pass(Kind.FORWARD, address, request, exchange, on_gone)

    def post(
        self, address: str, request: Request, exchange: Exchange, on_gone: Callable[[], None]
    ) -> Cancel:
        """Let another worker take a message for a channel that it holds."""
        return self._pass(Kind.POST, address, request, exchange, on_gone)

    def _pass(
        self, kind: Kind, address: str, request: Request, exchange: Exchange,
        on_gone: Callable[[], None],
    ) -> Cancel:  # fmt: skip
        self._token += 1
        token = self._token
        work = self._send(kind, address, token, request, exchange, on_gone)
        return partial(self._cancel, token, self._tasks.spawn(work))

    def tell_others(self, request: Request) -> None:
        """Let every other worker take a message."""
        ours = (f"{self._edition}.{number}" for number in self._workers())
        for address in (*ours, *self._of_other_programs()):
            if address != self.address:
                self.forward(address, request, Silence(), _nothing)

    def _of_other_programs(self) -> list[str]:
        """Return the addresses of workers of the program before ours, which may still drain."""
        here = self._directory.name
        return [
            f"{path.parent.name[1:]}.{path.stem[1:]}"
            for path in self._directory.parent.glob("g*/w*.sock") if path.parent.name != here
        ]  # fmt: skip

    def _cancel(self, token: int, task: "asyncio.Task[None]") -> None:
        task.cancel()
        entry = self._waiting.pop(token, None)
        if entry is not None:
            entry[0].send(Kind.CANCEL, token)

    async def _send(
        self, kind: Kind, address: str, token: int, request: Request, exchange: Exchange,
        on_gone: Callable[[], None],
    ) -> None:  # fmt: skip
        try:
            link = await self._link(address)
        except (OSError, ValueError):
            on_gone()
            return
        self._waiting[token] = (link, exchange, on_gone)
        if not link.send(kind, token, _encode(request)):
            self._waiting.pop(token)
            on_gone()

    async def _link(self, address: str) -> Link:
        """Return the one link to a worker, which many may want at the same time."""
        async with self._connecting:
            link = self._links.get(address)
            if link is None or not link.opened:
                path = self._path(address)
                link = await connect(path, lambda: Link(self._on_answer, self._on_lost))
                self._links[address] = link
            return link

    def _path(self, address: str) -> Path:
        """Return the socket of a worker.

        Raises:
            ValueError: it is no address, or not the one spelling of it: clients can send any, and
                each spelling would have a link of its own.
        """
        if _ADDRESS.fullmatch(address) is None:
            raise ValueError(f"{address[:40]!r} is no worker's address")
        edition, _, index = address.partition(".")
        return self._directory.parent / f"g{edition}" / f"w{index}.sock"

    def _on_lost(self, link: Link) -> None:
        for token, (owner, _, on_gone) in list(self._waiting.items()):
            if owner is link:
                del self._waiting[token]
                on_gone()

    def _on_answer(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        del link
        entry = self._waiting.get(token)
        if entry is None:
            return
        exchange = entry[1]
        if kind is Kind.OPEN:
            exchange.open()
            return
        if kind is Kind.MESSAGE:
            event_id, message = _decode(payload)
            exchange.send(message, event_id)
            return
        del self._waiting[token]
        if kind is Kind.ANSWER:
            (status, session_id, event_id, headers), body = _decode(payload)
            pairs = tuple((name, value) for name, value in headers)
            exchange.answer(Answer(status, body, session_id, pairs), event_id)
        elif kind is Kind.FAILED:
            entry[2]()
        else:
            exchange.end()

    def _accept(self) -> Link:
        return Link(self._on_request, self._on_gone)

    def _on_gone(self, link: Link) -> None:
        for key in [key for key in self._served if key[0] is link]:
            self._served.pop(key)()

    def _on_request(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        if kind is Kind.CANCEL:
            cancel = self._served.pop((link, token), None)
            if cancel is not None:
                cancel()
        elif kind in (Kind.POST, Kind.FORWARD):
            self._serve(link, kind, token, payload)

    def _serve(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        exchange = _Remote(link, token, lambda: self._served.pop((link, token), None))
        self._served[link, token] = _nothing
        try:
            request = _decode_request(payload, self._access)
            forwarded = self._handle if request.body else self._stream
            handle = self._post if kind is Kind.POST else forwarded
            assert handle is not None
            cancel = handle(request, exchange)
        except Only1MCPError as error:
            _log.info("a forwarded request was refused: %s", error)
            self._served.pop((link, token), None)
            link.send(Kind.FAILED, token)
        else:
            if (link, token) in self._served:
                self._served[link, token] = cancel


class _Remote:
    """An exchange at the other end of a link."""

    def __init__(self, link: Link, token: int, on_end: Callable[[], object]) -> None:
        self._link = link
        self._token = token
        self._on_end = on_end

    def open(self) -> None:
        self._link.send(Kind.OPEN, self._token)

    def send(self, message: bytes, event_id: str | None = None) -> None:
        self._link.send(Kind.MESSAGE, self._token, orjson.dumps(event_id) + b"\n" + message)

    def answer(self, answer: Answer, event_id: str | None = None) -> None:
        self._on_end()
        head = orjson.dumps([answer.status, answer.session_id, event_id, answer.headers])
        if not self._link.send(Kind.ANSWER, self._token, head + b"\n" + answer.body):
            self._link.send(Kind.FAILED, self._token)

    def end(self) -> None:
        self._on_end()
        self._link.send(Kind.END, self._token)


class Silence:
    """An exchange that nobody listens to."""

    def open(self) -> None:
        """Do nothing."""

    def send(self, message: bytes, event_id: str | None = None) -> None:
        """Drop the message."""

    def answer(self, answer: Answer, event_id: str | None = None) -> None:
        """Drop the answer."""

    def end(self) -> None:
        """Do nothing."""


def _encode(request: Request) -> bytes:
    headers = request.headers
    head = orjson.dumps(
        [headers.version, headers.method, headers.name, headers.session, headers.repeated,
         request.client, request.params, request.last_event_id, request.channel,
         request.principal.id]
    )  # fmt: skip
    return head + b"\n" + request.body


def _decode_request(payload: bytes, access: Access) -> Request:
    head, body = _decode(payload)
    version, method, name, session, repeated, client, params, last, channel, principal_id = head
    headers = McpHeaders(version, method, name, session, tuple(repeated))
    return Request(
        headers, body, client, params, last, forwarded=True, channel=channel,
        principal=access.forwarded(principal_id),
    )  # fmt: skip


def _decode(payload: bytes) -> tuple[Any, bytes]:
    head, _, body = payload.partition(b"\n")
    return orjson.loads(head), body


def _nothing() -> None:
    """There is nothing to stop."""
