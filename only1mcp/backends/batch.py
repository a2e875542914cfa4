"""One batch to a server: what is asked in it, and whose each message is that comes back."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from only1mcp._speedups import RESPONSE, Envelope
from only1mcp.backends.call import Outgoing, ReplySink
from only1mcp.backends.side_stream import SideStream
from only1mcp.errors import BackendLost, BackendProtocolError, Only1MCPError
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.progress import token_of
from only1mcp.protocol.subscriptions import is_of_session
from only1mcp.transports.batch_reader import BatchReader
from only1mcp.transports.streamable_http import HttpAnswer, StreamableHttp

MAX_BYTES = 1024 * 1024
"""Of the requests in one batch: servers bound the size of a body."""
_UNREAD_CODES = (b'"code":-32600', b'"code":-32700')
_NO_REFUSALS = (401, 403, 404, 408, 429)
"""These say something of the credentials, the session or the load, and nothing of batches."""
_log = logging.getLogger(__name__)


class Member:
    """A request that travels with others; made on a running loop."""

    def __init__(self, request_id: bytes, outgoing: Outgoing, sink: ReplySink | None) -> None:
        self.id = request_id
        self.outgoing = outgoing
        self.sink = sink
        self.body = jsonrpc.request(request_id, outgoing.method, outgoing.params)
        self.answer: asyncio.Future[HttpAnswer | None] = asyncio.get_running_loop().create_future()
        """None when the request was not sent, and is to go alone."""
        self.is_sent = False


class Batch:
    """Some requests on their way together.

    Args:
        name: the server's, for messages.
        opened: the session that they are on.
        headers: name that session.
        reply: sends the answer to a request of the server.
    """

    def __init__(
        self, name: str, opened: object, headers: Mapping[str, str],
        reply: Callable[[bytes], None],
    ) -> None:  # fmt: skip
        self.opened = opened
        self._name = name
        self._headers = headers
        self._aside = SideStream(None, reply, self._take_notification)
        self._open: dict[bytes, Member] = {}
        """Those that wait for an answer."""
        self._size = 0
        self._has_answered = False
        self._work: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting())

    def has_room(self, member: Member) -> bool:
        """Say whether one more would not make it too large."""
        return not self._open or self._size + len(member.body) <= MAX_BYTES

    def add(self, member: Member) -> None:
        """Take a request in; who does not wait for it any more takes it out."""
        self._open[member.id] = member
        self._size += len(member.body)
        member.answer.add_done_callback(lambda _: self._leave(member))

    def _leave(self, member: Member) -> None:
        self._open.pop(member.id, None)
        if not self._open and self._work is not None and member.answer.cancelled():
            self._work.cancel()

    def dissolve(self) -> None:
        """Let each request go alone: none was sent, or the server has not read any."""
        for member in self._waiting():
            member.is_sent = False
            member.answer.set_result(None)

    def fail(self, error: Only1MCPError) -> None:
        """Let all fail that are not answered yet."""
        for member in self._waiting():
            member.answer.set_exception(error)
            member.answer.exception()  # seen, should nobody wait for it any more

    def _waiting(self) -> list[Member]:
        return [member for member in self._open.values() if not member.answer.done()]

    async def carry(self, wire: StreamableHttp) -> HttpAnswer:
        """Send all requests and hand out what comes; returns how that ended.

        Raises:
            BackendError: the connection failed, or what came cannot be read.
        """
        self._work = asyncio.current_task()
        members = self._waiting()
        for member in members:
            member.is_sent = True
        body = b"[%b]" % b",".join(member.body for member in members)
        read = BatchReader(self._name, self._take, lambda: not self._waiting())
        answer = await wire.ask("POST", body, self._headers, None, read)
        while answer.resume_from is not None and answer.status < 300 and self._waiting():
            await asyncio.sleep(answer.retry_s)
            headers = {"Accept": "text/event-stream", **self._headers}
            headers["Last-Event-ID"] = answer.resume_from
            answer = await wire.ask("GET", None, headers, None, read)
            if answer.status >= 300:
                raise BackendLost(f"server {self._name} does not resume its stream")
        return answer

    def is_refused(self, answer: HttpAnswer) -> bool:
        """Say whether the server has not read the batch, because it is one: nothing of it ran."""
        if self._has_answered:
            return False
        if 400 <= answer.status < 500:
            return answer.status not in _NO_REFUSALS
        message = answer.message
        if message is None or message.id is not None:
            return False
        error = message.body[message.error_start : message.error_end].replace(b" ", b"")
        return answer.status < 300 and any(code in error for code in _UNREAD_CODES)

    def settle(self, answer: HttpAnswer) -> None:
        """Say what became of those that have no answer, although all has been read."""
        if answer.status < 300:
            self.fail(
                BackendProtocolError(f"server {self._name} left a request of a batch unanswered")
            )
            return
        for member in self._waiting():
            whole = HttpAnswer(answer.status, answer.session_id, answer.message, refused=True)
            member.answer.set_result(whole)

    def _take(self, message: Envelope) -> None:
        """Bring a message to whom it concerns."""
        if message.kind != RESPONSE:
            self._aside(message)
            return
        member = self._open.get(message.id or b"")
        if member is None or member.answer.done():
            _log.warning(
                "an answer in a batch is nobody's",
                extra={"server": self._name, "detail": message.body[:200]},
            )
            return
        self._has_answered = True
        member.answer.set_result(HttpAnswer(200, None, message))

    def _take_notification(self, message: Envelope) -> None:
        """Bring a notification to the request that it is about, if that can be told."""
        sink = self._concerned(message)
        if sink is not None:
            sink.on_message(message)

    def _concerned(self, message: Envelope) -> ReplySink | None:
        """Return who hears of a notification: a log message names no request.

        So it is told where all that are under way are of one client. What is about the whole
        session anyone may hear.
        """
        waiting = self._waiting()
        if message.method == "notifications/progress":
            token = token_of(message.body[message.params_start : message.params_end])
            of = (one for one in waiting if one.outgoing.token is not None)
            return next((one.sink for one in of if one.outgoing.token == token), None)
        if is_of_session(message.method):
            return next((one.sink for one in waiting if one.sink is not None), None)
        if message.method != "notifications/message" or not waiting:
            return None
        clients = {one.outgoing.session for one in waiting}
        is_of_one = len(waiting) == 1 or (len(clients) == 1 and 0 not in clients)
        return waiting[0].sink if is_of_one else None
