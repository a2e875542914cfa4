"""How calls of the fast lane end: what failed, who is to blame, and what is written down."""

import itertools
from collections.abc import Callable
from typing import Any

from only1mcp.backends.instances import Instances
from only1mcp.errors import (
    BackendBusy,
    BackendError,
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    BackendUnreachable,
    Cancelled,
    Only1MCPError,
)
from only1mcp.protocol.methods import METHODS
from only1mcp.proxy.journey import Outcome

_NUMBERS = itertools.count(1)


def failure_of(
    kind: str, server_id: str, timeout_s: float, error: Exception | None
) -> Only1MCPError:
    """Return the failure that the compiled part has a short name for."""
    failures: dict[str, Only1MCPError] = {
        "unreachable": BackendUnreachable(f"server {server_id} cannot be reached"),
        "lost": BackendLost(f"server {server_id} closed the connection during the call"),
        "ended": BackendLost(f"server {server_id} ended the stream without a response"),
        "timeout": BackendTimeout(
            f"server {server_id} did not answer within {timeout_s:g} s",
            hint="the call may still run there; raise `timeout` if it needs longer",
        ),
        "host": BackendLost("the process that runs the server ended during the call"),
        "cancelled": Cancelled("the request was cancelled"),
        "foreign": BackendProtocolError(f"server {server_id} answered another request"),
        "size": BackendProtocolError(f"server {server_id} answered with too many bytes"),
        "garbage": BackendProtocolError(
            f"server {server_id} answered with something that is not JSON-RPC"
        ),
        "protocol": BackendProtocolError(f"server {server_id} does not speak HTTP as it must"),
    }
    failed = failures[kind]
    failed.detail = None if error is None else repr(error)
    return failed


def is_repeatable(call: Any, error: Only1MCPError) -> bool:
    """Say whether a call that failed is to be sent again: it never came there, or is safe."""
    instances: Instances | None = call.plan.instances
    if instances is None or call.exchange is not None or call.front.transport is None:
        return False
    if isinstance(error, BackendUnreachable):
        if len(instances.gauges) == 1 or not isinstance(error, BackendBusy):
            return len(instances.gauges) > 1
    elif not isinstance(error, BackendLost):
        return False
    return call.plan.safe and instances.may_repeat()


def blame(call: Any, error: Only1MCPError) -> None:
    """Take note that an instance failed."""
    if isinstance(error, BackendError) and call.plan.instances is not None:
        call.plan.instances.failed(call.plan.place, 0, error.for_operator())


def log_kept(
    log: Callable[[Outcome], None], worker: str, front: Any, envelope: Any, server_id: str,
    caller: Any, seconds: float,
) -> None:  # fmt: skip
    """Write a line about an answer that was given again; it is counted already."""
    method, name = envelope.method, f"{worker}-k{next(_NUMBERS)}"
    transport = front.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    log(Outcome(
        name, METHODS[method].index, method, envelope.name or envelope.uri, server_id,
        str(peer[0]) if peer else "", "ok", seconds, None, caller.principal, "hit",
    ))  # fmt: skip


def outcome_of(call: Any, name: str, status: str, seconds: float, detail: str | None) -> Outcome:
    """Return what metrics and log are told of a call."""
    method, _, server_id = call.plan.about
    target = call.envelope.name or call.envelope.uri  # as the client calls it, like everywhere
    transport = call.front.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    return Outcome(
        name, METHODS[method].index, method, target, server_id, str(peer[0]) if peer else "",
        status, seconds, detail, call.caller.principal,
    )  # fmt: skip
