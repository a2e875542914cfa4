"""Whose task a request is about, and which calls may run as tasks."""

import orjson

from only1mcp._speedups import members
from only1mcp.errors import InvalidParams, MethodNotFound, MissingClientCapability
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.task_members import (
    EXTENSION,
    REQUIRED_CAPABILITIES,
    asks_for_task,
    declares_extension,
)
from only1mcp.protocol.versions import Era
from only1mcp.proxy.outbound import choose_leg
from only1mcp.proxy.task_ids import TaskIds, unknown_task
from only1mcp.registry.snapshot import Snapshot
from only1mcp.routing.router import Route
from only1mcp.sessions.session import Session


def route_task(
    inbound: Inbound, session: Session | None, snapshot: Snapshot, ids: TaskIds
) -> Route:
    """Find the server whose task a request names.

    An id of ours is good for itself: whether any server offers tasks at the moment does not matter.

    Raises:
        MethodNotFound: nobody offers this client tasks.
        MissingClientCapability: the client did not declare the extension.
        InvalidParams: there is no such task, as far as this client may know.
    """
    is_offered = is_task_offered(session, snapshot)
    if session is None:
        must_declare_tasks(inbound, is_offered)
    try:
        return _route(inbound, session, snapshot, ids)
    except InvalidParams:
        if is_offered:
            raise
        raise no_tasks(inbound) from None


def is_task_offered(session: Session | None, snapshot: Snapshot) -> bool:
    """Say whether any server offers this client tasks, in the design of its era."""
    if session is None:
        return snapshot.has_task_extension
    return session.knows_tasks and bool(snapshot.core_tasks)


def no_tasks(inbound: Inbound) -> MethodNotFound:
    """Say that a method of tasks is none that we have."""
    return MethodNotFound(f"method {inbound.envelope.method!r} is not known here")


def must_declare_tasks(inbound: Inbound, is_offered: bool) -> None:
    """Refuse a modern client that uses the extension without a word of it in its capabilities.

    Raises:
        MissingClientCapability: it did not declare the extension.
        MethodNotFound: nor is there any.
    """
    envelope = inbound.envelope
    if declares_extension(envelope.body[envelope.capabilities_start : envelope.capabilities_end]):
        return
    if not is_offered:
        raise no_tasks(inbound)
    raise MissingClientCapability(
        f"the client must declare the extension {EXTENSION}",
        data={"requiredCapabilities": REQUIRED_CAPABILITIES},
    )


def _route(inbound: Inbound, session: Session | None, snapshot: Snapshot, ids: TaskIds) -> Route:
    envelope = inbound.envelope
    body: bytes = envelope.body
    params = members(body, envelope.params_start) if envelope.params_end else []
    start, end = next(((a, b) for key, a, b in params if key == "taskId"), (0, 0))
    text = as_string(body[start:end])
    if text is None:
        raise InvalidParams("params.taskId must be a string")
    ref = ids.open(text)
    whose = (0, inbound.principal) if session is None else (session.serial, "")
    if (ref.serial, ref.owner) != whose or ref.server_id not in snapshot.catalogues:
        raise unknown_task()
    if choose_leg(inbound.era, ref.server_id, snapshot) is not inbound.era:
        raise unknown_task()  # the server changed its era, and forgot its tasks
    return Route(
        (ref.server_id,), ref.task_id, orjson.dumps(ref.task_id), start, end, place=ref.place,
        own=inbound.era is Era.LEGACY,
    )  # fmt: skip


def runs_as_task(
    inbound: Inbound, session: Session | None, route: Route, snapshot: Snapshot
) -> bool:
    """Say whether a legacy client's call is to run as a task, which it asks for.

    Where we announced no tasks to it, its wish is ignored, as 2025-11-25 demands.

    Raises:
        MethodNotFound: others can run as tasks, but not this one.
    """
    envelope = inbound.envelope
    if session is None or not session.knows_tasks or envelope.method != "tools/call":
        return False
    if not asks_for_task(envelope.body[envelope.params_start : envelope.params_end]):
        return False
    tool = snapshot.tools.get(envelope.name or "")
    owner = snapshot.catalogues[route.server_ids[0]]
    if owner.core_tasks and tool is not None and tool.takes_tasks:
        return True
    if not snapshot.core_tasks:
        return False
    raise MethodNotFound(
        f"tool {(envelope.name or '')[:200]} cannot run as a task",
        hint="call it without params.task",
    )
