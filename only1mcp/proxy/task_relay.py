"""What calls and answers say of tasks: servers read their own ids, clients ours."""

from collections.abc import Mapping

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Respond
from only1mcp.errors import BackendProtocolError, InvalidParams
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import ELICITED
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.log_levels import level_of
from only1mcp.protocol.methods import Kind
from only1mcp.protocol.progress import token_of, with_progress_token
from only1mcp.protocol.raw_object import without_fields
from only1mcp.protocol.subscriptions import is_of_session
from only1mcp.protocol.task_members import (
    CREATED_ID,
    OWN_ID,
    RELATED,
    RELATED_ID,
    STATUS,
    Place,
    declares_extension,
    id_at,
    renamed,
)
from only1mcp.protocol.versions import Era
from only1mcp.proxy.task_ids import TaskIds, TaskRef
from only1mcp.routing.router import Route
from only1mcp.sessions.session import Session

_CORE: Mapping[str, Place] = {
    "tools/call": CREATED_ID, "tasks/get": OWN_ID, "tasks/cancel": OWN_ID,
    "tasks/result": RELATED_ID,
}  # fmt: skip
"""Where results of 2025-11-25 hold the id of their task."""
_RELATED = RELATED.encode()


class TaskRelay:
    """The tasks of one call."""

    def __init__(
        self, ids: TaskIds, inbound: Inbound, session: Session | None, route: Route
    ) -> None:
        self._ids = ids
        self._inbound = inbound
        self._session = session
        self._route = route
        self._server_id = route.server_ids[0]
        self._is_core = session is not None and session.knows_tasks

    def token(self, own: bytes) -> bytes | None:
        """Return what stands for the progress token of a call that runs as a task.

        It stays valid when the call has ended, so that it must say itself whose it is.
        """
        session = self._session
        if session is None or not self._route.own or self._method != "tools/call":
            return None
        return self._ids.seal_token(session.serial, own)

    @property
    def _method(self) -> str | None:
        method: str | None = self._inbound.envelope.method
        return method

    def reply(self, reply: Envelope, leg: Era, instance: str) -> Envelope:
        """Return a response with the client's ids in it.

        Args:
            reply: the server's response.
            leg: the era that was spoken to the server.
            instance: the one that answered, of a server with several.

        Raises:
            BackendProtocolError: it is a task, and the client did not allow for one.
        """
        if not reply.result_end:
            return reply
        place = self._place(reply, leg)
        raw: bytes = reply.body[reply.result_start : reply.result_end]
        if place is None or raw[:1] != b"{":
            return reply
        changed = renamed(raw, place, lambda theirs: self._ours(theirs, instance))
        return reply if changed is raw else scan(jsonrpc.result(reply.id or b"0", changed))

    def _place(self, reply: Envelope, leg: Era) -> Place | None:
        if self._session is not None:
            return _CORE.get(self._method or "") if self._route.own else None
        if reply.result_type == "task":
            self._must_be_allowed(reply, leg)
            return OWN_ID
        method = self._inbound.method
        return OWN_ID if method is not None and method.kind is Kind.TASK else None

    def _must_be_allowed(self, reply: Envelope, leg: Era) -> None:
        envelope = self._inbound.envelope
        capabilities = envelope.body[envelope.capabilities_start : envelope.capabilities_end]
        if (
            leg is Era.LEGACY or self._method != "tools/call"
            or not declares_extension(capabilities)
        ):  # fmt: skip
            raise unwanted_task(self._server_id)
        if id_at(reply.body[reply.result_start : reply.result_end], OWN_ID) is None:
            raise BackendProtocolError(f"server {self._server_id} began a task without an id")

    def _ours(self, theirs: str, instance: str = "") -> str:
        serial, owner = 0, self._inbound.principal
        if self._session is not None:
            serial, owner = self._session.serial, ""
        return self._ids.seal(TaskRef(self._server_id, theirs, serial, instance, owner))

    def status(self, message: Envelope) -> bytes | None:
        """Return what a server says of a task of this client; None if it says something else."""
        if message.method != STATUS or not self._is_core:
            return None
        params = renamed(_params(message), OWN_ID, self._ours)
        return jsonrpc.notification(STATUS, params)

    def message(self, message: Envelope) -> Envelope:
        """Return a notification with the client's id of the task that it belongs to."""
        if not self._is_core or _RELATED not in message.body:
            return message
        params = renamed(_params(message), RELATED_ID, self._ours)
        return scan(jsonrpc.notification(message.method or "", params))

    def question(self, message: Envelope, respond: Respond) -> tuple[Envelope, Respond]:
        """Return a server's question as a legacy client is asked it, and how to answer it.

        The client is not asked to answer by a task of its own: there would be no way to poll it.
        """
        if self._session is None or not message.params_end:
            return message, respond
        params = without_fields(_params(message), {"task"})
        if not self._is_core or _RELATED not in params:
            return _asked(message, params), respond

        def respond_related(member: bytes) -> None:
            prefix = b'"result":'
            if member.startswith(prefix):
                member = prefix + renamed(member[len(prefix) :], RELATED_ID, self._theirs)
            respond(member)

        return _asked(message, renamed(params, RELATED_ID, self._ours)), respond_related

    def _theirs(self, ours: str) -> str:
        try:
            return self._ids.open(ours).task_id
        except InvalidParams:
            return ours


def unwanted_task(server_id: str) -> BackendProtocolError:
    """Say that a server may not answer this request with a task."""
    return BackendProtocolError(
        f"server {server_id} began a task, which the client did not allow for"
    )


def session_notice(
    ids: TaskIds, session: Session, server_id: str, message: Envelope, level: int
) -> bytes | None:
    """Return what a server says to a session alone, in its log too, while no call is under way.

    Args:
        ids: ours.
        session: the one on whose own connection the server said it.
        server_id: the server.
        message: its notification.
        level: the severity from which on the client wants log messages.
    """
    params = _params(message)
    method = message.method or ""
    if method == ELICITED or is_of_session(method):
        body: bytes = message.body
        return body
    if method == "notifications/progress":
        named = ids.open_token(as_string(token_of(params) or b"") or "")
        if named is None or named[0] != session.serial:
            return None
        params = with_progress_token(params, named[1])
    elif method == "notifications/message":
        if level_of(params) < level:
            return None
        if _RELATED not in params:
            return bytes(message.body)
    elif method != STATUS:
        return None

    def ours(theirs: str) -> str:
        return ids.seal(TaskRef(server_id, theirs, session.serial))

    place = OWN_ID if method == STATUS else RELATED_ID
    return jsonrpc.notification(method, renamed(params, place, ours))


def _params(message: Envelope) -> bytes:
    params: bytes = message.body[message.params_start : message.params_end]
    return params


def _asked(message: Envelope, params: bytes) -> Envelope:
    if params == _params(message):
        return message
    return scan(jsonrpc.request(message.id or b"0", message.method or "", params))
