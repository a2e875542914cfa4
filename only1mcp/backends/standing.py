"""Our one legacy session with an HTTP backend: opened, replaced, and ended.

Where several processes work with a backend one of them opens the session for all, and the others
adopt it. One that the backend has forgotten is opened again, once.
"""

import asyncio
import contextlib
import logging

from only1mcp.backends.call import NOTHING, Outgoing
from only1mcp.backends.handshake import initialize, read_initialize
from only1mcp.backends.http_rules import check_id, message_of
from only1mcp.backends.keeper import Keeper
from only1mcp.backends.opened import Opened
from only1mcp.errors import BackendError
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.log_levels import LEVELS
from only1mcp.protocol.versions import Era
from only1mcp.tasks import Tasks, until
from only1mcp.transports.streamable_http import HttpAnswer, OnEvent, StreamableHttp, nothing_said

_log = logging.getLogger(__name__)
_CLOSE_TIMEOUT_S = 1.0
_LONGEST_S, _LOOK_S = 3600.0, 0.02
"""How long a session that was replaced may be in use; how often we look whether it is."""


class Standing:
    """Opens a session when it is first needed; concurrent callers open it once.

    Args:
        name: the server.
        wire: leads to it.
        timeout_s: what a handshake may take.
        tasks: runs what nobody waits for.
        keeper: knows what other processes do.
        features: what the server may ask of the client.
    """

    def __init__(
        self, name: str, wire: StreamableHttp, timeout_s: float, tasks: Tasks, keeper: Keeper,
        features: Feature = NOTHING,
    ) -> None:  # fmt: skip
        self._name = name
        self._wire = wire
        self._timeout_s = timeout_s
        self._tasks = tasks
        self._keeper = keeper
        self._features = features
        self._opening = asyncio.Lock()
        self._levelling = asyncio.Lock()
        self._level: int | None = None
        """The lowest severity from which on anybody wants log messages."""
        self._replaced = asyncio.Event()
        """Set, and made anew, when another session takes the place of one."""
        self.take_ids = keeper.take_ids
        """Returns the first of so many ids that the server has not seen."""
        self.opened: Opened | None = keeper.attach(self)
        """The session that is open, which is also a token to compare; None when none is."""

    async def open(self, instead_of: Opened | None = None) -> Opened:
        """Return the open session.

        One that was found forgotten stays in place until its successor is ready. It is returned
        again if the server does know it.

        Raises:
            BackendError: it could not be opened.
        """
        opened = self.opened
        if opened is not None and opened is not instead_of:
            return opened
        async with self._opening:
            if self.opened is None or self.opened is instead_of:
                found = await self._keeper.find(self, instead_of)
                if found is None:
                    found = await self._initialize()
                    self._keeper.began(self, found)
                self._take(found)
            assert self.opened is not None
            return self.opened

    async def _initialize(self) -> Opened:
        answer = await self.post(initialize(self._features), {}, self._timeout_s)
        opened = Opened(read_initialize(message_of(self._name, answer)), answer.session_id)
        await self._wire.post(
            jsonrpc.notification("notifications/initialized"),
            {"Mcp-Method": "notifications/initialized", **opened.headers}, self._timeout_s,
        )  # fmt: skip
        with contextlib.suppress(BackendError):
            await self._apply_level(opened)
        return opened

    async def confirm(self, forgotten: str | None) -> None:
        """See to it that a session is open, if need be another one than a forgotten one.

        Raises:
            BackendError: there is none.
        """
        opened = await self.open()
        if forgotten is not None and opened.session_id == forgotten:
            ping = Outgoing("ping", b"", Era.LEGACY, safe=True)
            if opened.is_forgotten(await self.post(ping, opened.headers, self._timeout_s)):
                await self.open(instead_of=opened)

    def adopt(self, opened: Opened) -> None:
        """Go on with a session that another process has opened; calls under way end where they are.

        One of our own that it replaces is ended after them.
        """
        before = self.opened
        self._take(opened)
        if before is not None and not before.is_shared:
            self.dismiss(before)

    def lose(self, opened: Opened) -> None:
        """Use a session no more that another process is about to end."""
        if self.opened is opened:
            self.opened = None

    def dismiss(self, opened: Opened) -> None:
        """End a session that is not, or no more, the one to use once nobody uses it."""
        self._tasks.spawn(self._end(opened))

    def _take(self, opened: Opened) -> None:
        if opened is not self.opened:
            self.opened = opened
            self._replaced.set()
            self._replaced = asyncio.Event()

    async def raise_level(self, opened: Opened, level: int | None) -> None:
        """Have the server log as much as any client wants; each gets what it asked for."""
        if level is None or not opened.wants(level):
            return
        with contextlib.suppress(BackendError):  # the call itself is worth more
            if opened.is_shared:
                await self._keeper.wants(self, level)
                opened.level = level
            else:
                await self.lower_level(level)

    async def lower_level(self, level: int) -> None:
        """Have the server log from this severity on, now and on sessions to come.

        Raises:
            BackendError: it did not hear of it now.
        """
        self._level = level if self._level is None else min(level, self._level)
        if self.opened is not None:
            await self._apply_level(self.opened)

    async def _apply_level(self, opened: Opened) -> None:
        async with self._levelling:  # or the higher of two levels might come last
            level = self._level
            if level is None or not opened.wants(level):
                return
            opened.level = level
            params = b'{"level":"%b"}' % LEVELS[level].encode()
            wanted = Outgoing("logging/setLevel", params, Era.LEGACY, safe=True)
            await self.post(wanted, opened.headers, self._timeout_s)

    async def close(self) -> None:
        """End the session if one is open that is ours; one that others use, after them."""
        opened, self.opened = self.opened, None
        self._keeper.detach(self)
        if opened is None or opened.is_shared:
            return
        if self._keeper.is_free(opened):
            await self._delete(opened)
        else:
            self.dismiss(opened)

    async def _end(self, opened: Opened) -> None:
        """End a session that we have opened once nobody uses it any more."""
        await until(lambda: self._keeper.is_free(opened), _LONGEST_S, _LOOK_S)
        await self._delete(opened)

    async def _delete(self, opened: Opened) -> None:
        if opened.session_id is None:
            return
        try:
            await self._wire.delete(opened.headers, _CLOSE_TIMEOUT_S)
        except BackendError as error:
            _log.debug("session not ended: %s", error, extra={"server": self._name})

    def next_id(self) -> bytes:
        """Return an id that the server has not seen, as JSON."""
        return b"%d" % self.take_ids(1)

    async def post(
        self, outgoing: Outgoing, headers: dict[str, str], timeout_s: float | None,
        on_event: OnEvent = nothing_said, request_id: bytes | None = None,
    ) -> HttpAnswer:  # fmt: skip
        """Send a request of either era; on what session, the headers say.

        Raises:
            BackendError: there is no answer to it.
        """
        request_id = request_id or self.next_id()
        body = jsonrpc.request(request_id, outgoing.method, outgoing.params)
        headers = {"Mcp-Method": outgoing.method, **headers}
        answer = await self._wire.post(body, headers, timeout_s, on_event)
        return check_id(self._name, request_id, answer)
