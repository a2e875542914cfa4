"""Our standing with one HTTP backend: its era, and the one session that all calls share."""

import asyncio
import logging

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Outgoing
from only1mcp.backends.handshake import (
    Hello,
    discover,
    initialize,
    judge_probe,
    read_initialize,
)
from only1mcp.errors import (
    BackendError,
    BackendLost,
    BackendProtocolError,
    BackendUnreachable,
)
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.headers import encode_value
from only1mcp.protocol.versions import NEWEST_MODERN, Era
from only1mcp.transports.streamable_http import HttpAnswer, StreamableHttp

_log = logging.getLogger(__name__)
_CLOSE_TIMEOUT_S = 1.0


class HttpSession:
    """Sends requests to one URL in either era; opens a legacy session when first needed."""

    def __init__(
        self, name: str, wire: StreamableHttp, timeout_s: float, handshake_timeout_s: float
    ) -> None:
        self._name = name
        self._wire = wire
        self._timeout_s = timeout_s
        self._handshake_timeout_s = handshake_timeout_s
        self._last_id = 0
        self._hello: Hello | None = None
        self._session_id: str | None = None
        self._opening = asyncio.Lock()

    async def request(self, outgoing: Outgoing) -> Envelope:
        """Send a request and return the response.

        Raises:
            BackendError: there is none.
        """
        if outgoing.era is Era.MODERN:
            answer = await self._post(outgoing, _modern_headers(outgoing), self._timeout_s)
            return self._message(answer)
        hello = await self._open()
        answer = await self._post(outgoing, self._legacy_headers(hello), self._timeout_s)
        if answer.status == 404 and self._session_id is not None:
            # The server no longer knows the session, so the call did not run (2025-11-25,
            # basic/transports, Session Management): open a new one, once, and send it again.
            hello = await self._open(instead_of=hello)
            answer = await self._post(outgoing, self._legacy_headers(hello), self._timeout_s)
        return self._message(answer)

    async def probe(self) -> Hello:
        """Find out which eras the backend speaks.

        Raises:
            BackendError: it cannot be told now; an outage or a refusal is no verdict.
        """
        outgoing = discover()
        answer = await self._post(outgoing, _modern_headers(outgoing), self._handshake_timeout_s)
        self._refuse_outages(answer)
        modern = judge_probe(answer.message) if answer.message is not None else None
        try:
            legacy: Hello | None = await self._open()
        except BackendError:
            if modern is None:
                raise
            legacy = None
        if modern is None:
            assert legacy is not None
            return legacy
        return modern.also(Era.LEGACY) if legacy is not None else modern

    async def ping(self, era: Era) -> None:
        """See whether the backend answers.

        Raises:
            BackendError: it does not.
        """
        outgoing = discover() if era is Era.MODERN else Outgoing("ping", b"", Era.LEGACY, safe=True)
        await asyncio.wait_for(self.request(outgoing), self._handshake_timeout_s)

    async def close(self) -> None:
        """End the legacy session, if one is open."""
        if self._session_id is None or self._hello is None:
            return
        try:
            await self._wire.delete(self._legacy_headers(self._hello), _CLOSE_TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            _log.debug("session not ended: %s", error, extra={"server": self._name})
        self._session_id = self._hello = None

    async def _open(self, instead_of: Hello | None = None) -> Hello:
        """Return the open legacy session's greeting; concurrent callers open it once."""
        hello = self._hello
        if hello is not None and hello is not instead_of:
            return hello
        async with self._opening:
            if self._hello is not None and self._hello is not instead_of:
                return self._hello
            self._hello = await self._initialize()
            return self._hello

    async def _initialize(self) -> Hello:
        self._session_id = None
        answer = await self._post(initialize(), {}, self._handshake_timeout_s)
        hello = read_initialize(self._message(answer))
        self._session_id = answer.session_id
        await self._wire.post(
            jsonrpc.notification("notifications/initialized"),
            self._legacy_headers(hello), self._handshake_timeout_s,
        )  # fmt: skip
        return hello

    async def _post(
        self, outgoing: Outgoing, headers: dict[str, str], timeout_s: float
    ) -> HttpAnswer:
        self._last_id += 1
        request_id = b"%d" % self._last_id
        body = jsonrpc.request(request_id, outgoing.method, outgoing.params)
        answer = await self._wire.post(body, headers, timeout_s)
        if answer.message is not None and answer.message.id not in (None, request_id):
            raise BackendProtocolError(f"server {self._name} answered another request")
        return answer

    def _message(self, answer: HttpAnswer) -> Envelope:
        self._refuse_outages(answer)
        if answer.message is None:
            raise BackendProtocolError(
                f"server {self._name} answered with HTTP status {answer.status} and no message"
            )
        return answer.message

    def _refuse_outages(self, answer: HttpAnswer) -> None:
        if answer.status in (401, 403) and answer.message is None:
            raise BackendUnreachable(
                f"server {self._name} refuses our credentials (HTTP {answer.status})",
                hint="check the server's headers or auth in the configuration",
            )
        if answer.status in (429, 503):
            raise BackendUnreachable(f"server {self._name} is unavailable (HTTP {answer.status})")
        if answer.status in (502, 504):  # somebody in between gave up; the call may have run
            raise BackendLost(f"server {self._name} is unavailable (HTTP {answer.status})")
        if 300 <= answer.status < 400:
            raise BackendProtocolError(
                f"server {self._name} redirects (HTTP {answer.status})",
                hint="configure the address that it redirects to",
            )

    def _legacy_headers(self, hello: Hello) -> dict[str, str]:
        headers = {"MCP-Protocol-Version": hello.version}
        if self._session_id is not None:
            headers["Mcp-Session-Id"] = self._session_id
        return headers


def _modern_headers(outgoing: Outgoing) -> dict[str, str]:
    headers = {"MCP-Protocol-Version": NEWEST_MODERN, "Mcp-Method": outgoing.method}
    if outgoing.target is not None and outgoing.method != "completion/complete":
        headers["Mcp-Name"] = encode_value(outgoing.target)
    return headers
