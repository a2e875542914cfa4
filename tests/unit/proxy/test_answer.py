"""A reply or a failure → bytes and status."""

import json

import pytest

from only1mcp._speedups import Envelope, scan
from only1mcp.errors import (
    BackendProtocolError,
    BackendTimeout,
    Forbidden,
    InvalidParams,
    InvalidRequest,
    MethodNotFound,
    Only1MCPError,
    Overloaded,
    SessionMissing,
    SessionNotFound,
)
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.versions import Era
from only1mcp.proxy.answer import ACCEPTED, failure, relay, success


def reply(raw: bytes) -> Envelope:
    """Return a backend's response with this result."""
    return scan(jsonrpc.result(b"77", raw))


def test_our_own_results_are_200() -> None:
    """Under the client's id."""
    answer = success(b'"a"', b'{"x":1.0}')
    assert (answer.status, answer.body, answer.session_id) == (
        200, b'{"jsonrpc":"2.0","id":"a","result":{"x":1.0}}', None,
    )  # fmt: skip


def test_failures_have_the_status_of_their_class() -> None:
    """A failure of a backend is an answer; one of the caller is an HTTP error."""
    assert failure(b"1", Forbidden("no"), Era.MODERN).status == 403
    assert failure(b"1", BackendTimeout("late"), Era.MODERN).status == 200
    assert json.loads(failure(None, Forbidden("no"), Era.MODERN).body)["id"] is None


@pytest.mark.parametrize(
    ("error", "status"),
    [(MethodNotFound("?"), 200), (InvalidParams("?"), 200), (Overloaded("?"), 200),
     (Only1MCPError("?"), 200), (BackendTimeout("?"), 200), (SessionMissing("?"), 400),
     (SessionNotFound("?"), 404)],
)  # fmt: skip
def test_a_legacy_request_fails_in_band_unless_its_session_does(
    error: Only1MCPError, status: int
) -> None:
    """Its SDK takes any other status for the end of the session."""
    answer = failure(b"7", error, Era.LEGACY)
    message = json.loads(answer.body)
    assert (answer.status, message["id"], message["error"]["code"]) == (status, 7, error.code)


def test_a_legacy_message_that_awaits_no_answer_fails_with_the_status_of_its_class() -> None:
    """Nothing but the status can tell its sender."""
    assert failure(None, InvalidRequest("?"), Era.LEGACY).status == 400


@pytest.mark.parametrize("client", list(Era))
@pytest.mark.parametrize("raw", [b"null", b"7", b'"no"', b"[]"])
def test_an_error_that_is_no_object_is_a_failure_of_the_server(client: Era, raw: bytes) -> None:
    """No client could read it."""
    broken = scan(jsonrpc.error(b"77", raw))
    with pytest.raises(BackendProtocolError, match="an error that is no object"):
        relay(b"1", broken, "tools/call", client, client, wraps_output=False)


def test_what_is_accepted_has_no_body() -> None:
    """202."""
    assert (ACCEPTED.status, ACCEPTED.body) == (202, b"")


@pytest.mark.parametrize(
    ("client", "leg", "raw", "expected"),
    [
        (Era.LEGACY, Era.LEGACY, b'{ "a": 1.0 }', b'{ "a": 1.0 }'),
        (Era.LEGACY, Era.LEGACY, b'{"resultType":"x"}', b'{"resultType":"x"}'),
        (Era.MODERN, Era.MODERN, b'{"resultType":"complete", "a":1}',
         b'{"resultType":"complete", "a":1}'),
        (Era.MODERN, Era.MODERN, b'{"resultType":"input_required"}',
         b'{"resultType":"input_required"}'),
        (Era.MODERN, Era.MODERN, b'{"a":1}', b'{"resultType":"complete","a":1}'),
        (Era.MODERN, Era.LEGACY, b'{"a":1}', b'{"resultType":"complete","a":1}'),
        (Era.LEGACY, Era.MODERN, b'{"resultType":"complete","a": 1}', b'{"a":1}'),
        (Era.LEGACY, Era.MODERN, b'{"a": 1}', b'{"a":1}'),
    ],
)  # fmt: skip
def test_a_result_is_put_into_the_client_s_era(
    client: Era, leg: Era, raw: bytes, expected: bytes
) -> None:
    """From the era of the leg to the backend."""
    answer, status = relay(b"1", reply(raw), "tools/call", client, leg, wraps_output=False)
    assert (answer.status, status) == (200, "ok")
    assert answer.body == b'{"jsonrpc":"2.0","id":1,"result":' + expected + b"}"


@pytest.mark.parametrize("kind", ["input_required", "task", ""])
def test_a_result_that_a_legacy_client_could_not_read_is_a_failure(kind: str) -> None:
    """Its revision has no word for it."""
    with pytest.raises(BackendProtocolError, match="cannot give"):
        relay(b"1", reply(b'{"resultType":"%b"}' % kind.encode()), "tools/call", Era.LEGACY,
              Era.MODERN, wraps_output=False)  # fmt: skip
