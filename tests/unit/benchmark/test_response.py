"""Reading responses, however they are cut."""

import pytest

from only1mcp.benchmark.response import Malformed, Response, ResponseReader
from tests.support.raw_server import CHUNKED, EVENTS, chunk, event, whole

BODY = b'{"id":1}'
PLAIN = whole(BODY)
STREAM = EVENTS + CHUNKED + chunk(event(BODY)) + chunk(b"") + PLAIN[:0]
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n" + PLAIN


@pytest.mark.parametrize(("data", "body"), [(PLAIN, BODY), (STREAM, event(BODY)), (INTERIM, BODY)])
def test_a_response_may_be_cut_anywhere(data: bytes, body: bytes) -> None:
    """Nothing is returned before its last byte."""
    for at in range(1, len(data)):
        reader = ResponseReader()
        assert reader.feed(data[:at]) is None
        response = reader.feed(data[at:])
        assert response is not None
        assert (response.status, response.body) == (200, body)
        assert response.is_stream == (data is STREAM)


def test_responses_follow_each_other_on_one_connection() -> None:
    """The next begins where the last one ended."""
    reader = ResponseReader()
    for data in (STREAM, PLAIN, STREAM, PLAIN):
        assert isinstance(reader.feed(data), Response)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """As HTTP/1.0 servers do it."""
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.0 200 OK\r\n\r\n" + BODY) is None
    response = reader.end()
    assert response is not None
    assert response.body == BODY


@pytest.mark.parametrize("data", [b"", PLAIN[:-1], STREAM[:-3], b"HTTP/1.1 2"])
def test_an_end_in_the_middle_completes_nothing(data: bytes) -> None:
    """The call is lost."""
    reader = ResponseReader()
    reader.feed(data)
    assert reader.end() is None


@pytest.mark.parametrize("data", [b"SSH-2.0\r\n\r\n", b"x" * 70_000, EVENTS + CHUNKED + b"zz\r\n"])
def test_what_is_no_http_is_refused(data: bytes) -> None:
    """Somebody else listens there."""
    with pytest.raises(Malformed):
        ResponseReader().feed(data)


def test_the_head_says_what_matters() -> None:
    """The session, and whether the connection can be used again."""
    response = ResponseReader().feed(whole(BODY, b"Connection: close", b"Mcp-Session-Id: abc"))
    assert response is not None
    assert (response.closes, response.session) == (True, b"abc")
