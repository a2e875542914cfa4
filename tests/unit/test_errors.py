"""The whole mapping of failures to codes, statuses (to modern and to legacy clients) and labels."""

import inspect
from collections.abc import Iterator

import pytest

from only1mcp import errors
from only1mcp.errors import ClientError, Only1MCPError

TABLE = """
BackendBusy                      32001  200  200  backend_busy
BackendError                    -32603  200  200  backend_error
BackendLost                      32003  200  200  backend_lost
BackendProtocolError             32005  200  200  backend_protocol
BackendTimeout                   32002  200  200  backend_timeout
BackendUnreachable               32001  200  200  backend_unreachable
Cancelled                       -32800  200  200  cancelled
CircuitOpen                      32001  200  200  circuit_open
ClientError                     -32603  400  200  client_error
Forbidden                       -32600  403  200  forbidden
HeaderMismatch                  -32020  400  200  header_mismatch
InsufficientScope               -32600  403  200  insufficient_scope
InvalidCredentials              -32600  401  401  invalid_credentials
InvalidParams                   -32602  400  200  invalid_params
InvalidRequest                  -32600  400  200  invalid_request
MethodNotFound                  -32601  404  200  method_not_found
MissingClientCapability         -32021  400  200  missing_capability
NoStream                         32005  200  200  no_stream
NotAcceptable                   -32600  406  200  not_acceptable
Only1MCPError                   -32603  500  200  internal
Overloaded                       32004  503  200  overloaded
ParseError                      -32700  400  200  parse_error
RateLimited                      32007  429  200  rate_limited
RoutingError                    -32603  200  200  routing_error
SessionMissing                  -32600  400  400  session_missing
SessionNotFound                 -32600  404  404  session_not_found
Unauthenticated                 -32600  401  401  unauthenticated
UnknownTarget                   -32602  200  200  unknown_target
UnlistedTarget                   32001  200  200  unlisted_target
UnsupportedMediaType            -32600  415  200  unsupported_media_type
UnsupportedProtocolVersion      -32022  400  200  unsupported_version
"""
OF_THE_SPECIFICATION = {-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022}


def all_errors() -> Iterator[type[Only1MCPError]]:
    """Return every class of the module, by name."""
    for _, kind in sorted(inspect.getmembers(errors, inspect.isclass)):
        if issubclass(kind, Only1MCPError):
            yield kind


def test_every_failure_has_the_code_status_and_label_of_the_table() -> None:
    """A change of this table is a change of what clients and dashboards see."""
    rows = [
        f"{kind.__name__:30}{kind.code:8}  {kind.http_status}  {kind.legacy_status}  {kind.reason}"
        for kind in all_errors()
    ]
    assert rows == TABLE.strip().splitlines()


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
def test_codes_are_of_the_specification_or_outside_what_it_reserves(
    kind: type[Only1MCPError],
) -> None:
    """JSON-RPC and MCP reserve -32768 to -32000; ours lie elsewhere."""
    assert kind.code in OF_THE_SPECIFICATION or not -32768 <= kind.code <= -32000


def test_no_two_failures_share_a_metric_label() -> None:
    """An operator can tell them apart on a dashboard."""
    labels = [kind.reason for kind in all_errors()]
    assert len(labels) == len(set(labels))


def test_what_an_operator_may_see_is_not_part_of_the_message() -> None:
    """`str(error)` goes to the client, `detail` to the log."""
    error = ClientError("no", hint="do", data={"a": 1}, detail="10.0.0.7:9000 refused")
    assert str(error) == "no"
    assert (error.hint, error.data, error.detail) == ("do", {"a": 1}, "10.0.0.7:9000 refused")
