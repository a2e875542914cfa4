"""What a Streamable HTTP server answers to a batch: an array, or a stream of messages and arrays.

Source: 2025-03-26, basic/transports (Sending Messages to the Server).
"""

import logging
from collections.abc import Callable, Iterator

import aiohttp

from only1mcp._speedups import BATCH, RESPONSE, Envelope, elements, scan
from only1mcp.errors import Only1MCPError
from only1mcp.transports.streamable_http import HttpAnswer, read_body, read_events, scan_message

_log = logging.getLogger(__name__)


class BatchReader:
    """Reads one body after the other, up to the last answer.

    Args:
        name: the server's, for messages.
        take: takes each message.
        is_done: says whether all answers have come.
    """

    def __init__(
        self, name: str, take: Callable[[Envelope], None], is_done: Callable[[], bool]
    ) -> None:
        self._name = name
        self._take = take
        self._is_done = is_done

    async def __call__(self, response: aiohttp.ClientResponse, answer: HttpAnswer) -> None:
        """Read a body; a single response in it is noted in the answer, for it may be a refusal.

        Raises:
            BackendProtocolError: it cannot be read.
        """
        if response.status == 202:
            return
        if response.content_type == "text/event-stream":
            await read_events(self._name, response, answer, self._take_some)
            return
        body = await read_body(self._name, response)
        message = scan_message(self._name, body, ok=response.status < 300)
        if message is None:
            return
        if message.kind == RESPONSE:
            answer.message = message
        self._take_each(message)

    def _take_some(self, message: Envelope) -> bool:
        self._take_each(message)
        return self._is_done()

    def _take_each(self, message: Envelope) -> None:
        if message.kind == BATCH:
            for member in self._members(message.body):
                self._take(member)
        else:
            self._take(message)

    def _members(self, body: bytes) -> Iterator[Envelope]:
        """Yield the messages in an array; what is none does not spoil the others."""
        for start, end in elements(body):
            try:
                member = scan(body[start:end])
            except Only1MCPError as error:
                _log.warning(
                    "a member of a batch is no message: %s", error, extra={"server": self._name}
                )
            else:
                if member.kind != BATCH:
                    yield member
