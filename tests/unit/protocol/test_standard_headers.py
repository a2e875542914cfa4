"""The headers that a modern request would have, from its body."""

from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.protocol.headers import McpHeaders, decode_value
from only1mcp.protocol.inbound import classify
from only1mcp.protocol.standard_headers import standard_headers
from tests.support.messages import MODERN, modern


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "a__x"}, "a__x"), ("prompts/get", {"name": "größe"}, "größe"),
        ("resources/read", {"uri": "r:1", "name": "y"}, "r:1"),
        ("tools/call", {"name": " =?base64?"}, " =?base64?"), ("tools/call", {"name": 7}, ""),
        ("tools/call", {}, ""),
    ],
)  # fmt: skip
def test_a_target_is_named_in_a_form_that_headers_can_have(
    method: str, params: dict[str, Any], name: str
) -> None:
    """And such a request is in order."""
    envelope = scan(modern(method, params))
    headers = standard_headers(envelope)
    assert (headers.version, headers.method) == (MODERN, method)
    assert headers.name is not None
    assert headers.name.isascii()
    assert decode_value(headers.name) == name
    assert classify(envelope, headers).envelope is envelope


@pytest.mark.parametrize("method", ["tools/list", "completion/complete", "no/such"])
def test_what_has_no_target_names_none(method: str) -> None:
    """A `name` among its parameters means something else."""
    headers = standard_headers(scan(modern(method, {"name": "x", "ref": {}})))
    assert headers == McpHeaders(version=MODERN, method=method)
