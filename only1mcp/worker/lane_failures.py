"""How calls of the fast lane fail, and who is to blame."""

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
    if instances is None or call.exchange is not None:
        return False
    if call.front.transport is None and call.flight is None:
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
