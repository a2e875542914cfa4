"""What statuses and headers of HTTP servers mean."""

import pytest

from only1mcp._speedups import scan
from only1mcp.backends.call import Outgoing
from only1mcp.backends.http_rules import message_of, modern_headers, refuse_outages
from only1mcp.errors import (
    BackendError,
    BackendLost,
    BackendProtocolError,
    BackendUnreachable,
)
from only1mcp.protocol.versions import Era
from only1mcp.transports.streamable_http import HttpAnswer
from tests.support.messages import MODERN

REPLY = scan(b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}')

FAILURES = [
    (401, BackendUnreachable, "refuses our credentials"),
    (403, BackendUnreachable, "refuses our credentials"),
    (429, BackendUnreachable, "unavailable"), (503, BackendUnreachable, "unavailable"),
    (502, BackendLost, "unavailable"), (504, BackendLost, "unavailable"),
    (302, BackendProtocolError, "redirects"), (307, BackendProtocolError, "redirects"),
    (500, BackendProtocolError, "HTTP status 500"), (202, BackendProtocolError, "HTTP status 202"),
    (404, BackendProtocolError, "HTTP status 404"), (200, BackendProtocolError, "no message"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "kind", "words"), FAILURES)
def test_an_answer_without_a_message_is_a_failure_of_its_kind(
    status: int, kind: type[BackendError], words: str
) -> None:
    """By its status, as it tells whether the call may have run."""
    with pytest.raises(kind, match=words):
        message_of("srv", HttpAnswer(status, None, None))


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500])
def test_a_message_counts_whatever_the_status(status: int) -> None:
    """The server itself has spoken."""
    assert message_of("srv", HttpAnswer(status, None, REPLY)) is REPLY


@pytest.mark.parametrize("status", [302, 429, 502, 503])
def test_an_outage_is_one_with_or_without_a_message(status: int) -> None:
    """Somebody in between may have written it."""
    with pytest.raises(BackendError):
        message_of("srv", HttpAnswer(status, None, REPLY))


def test_a_stream_that_broke_off_is_a_lost_call() -> None:
    """When nobody reads on."""
    with pytest.raises(BackendLost, match="ended the stream"):
        message_of("srv", HttpAnswer(200, None, None, resume_from="e-1"))


@pytest.mark.parametrize("status", [200, 202, 400, 404, 405, 500])
def test_what_says_something_of_the_request_is_no_outage(status: int) -> None:
    """Also a refusal."""
    refuse_outages("srv", HttpAnswer(status, None, None))


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [("tools/call", "x", "x"), ("resources/read", "é", "=?base64?w6k=?="),
     ("tools/list", None, None), ("completion/complete", "x", None)],
)  # fmt: skip
def test_a_modern_request_names_itself_in_headers(
    method: str, target: str | None, name: str | None
) -> None:
    """With its target, if it has one, and what the target wants there besides."""
    outgoing = Outgoing(method, b"{}", Era.MODERN, target, headers=(("Mcp-Param-A", "1"),))
    found = modern_headers(outgoing)
    assert found.pop("Mcp-Name", None) == name
    assert found == {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, "Mcp-Param-A": "1"}
