"""`notifications/cancelled`: what it names, and how it is written."""

import pytest

from only1mcp._speedups import scan
from only1mcp.protocol.cancellation import cancellation, cancelled_id


@pytest.mark.parametrize("request_id", [b"1", b'"a"', b'"\\u0061"', b"-12345678901234567890"])
def test_an_id_is_read_as_it_was_written(request_id: bytes) -> None:
    """So that it can be compared with those of requests."""
    assert cancelled_id(scan(cancellation(request_id))) == request_id


@pytest.mark.parametrize("params", [b"", b',"params":{}', b',"params":{"reason":"x"}'])
def test_a_cancellation_may_name_nothing(params: bytes) -> None:
    """Then there is nothing to cancel."""
    body = b'{"jsonrpc":"2.0","method":"notifications/cancelled"%b}' % params
    assert cancelled_id(scan(body)) is None
