"""What a client of the fast lane is told when its call got no answer."""

from only1mcp.errors import (
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    BackendUnreachable,
    Cancelled,
    Only1MCPError,
)


def failure_of(
    kind: str, server_id: str, timeout_s: float, cause: Exception | None
) -> Only1MCPError:
    """Return the failure that the compiled lane calls by this name."""
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
    failed.detail = None if cause is None else repr(cause)
    return failed
