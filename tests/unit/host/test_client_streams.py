"""The streams of clients that servers ask between calls."""

import json

from only1mcp._speedups import scan
from only1mcp.host.client_streams import ClientStreams
from tests.support.sink import Sink


def test_the_newest_stream_of_a_session_is_the_one() -> None:
    """The end of one before it changes nothing; each change is told."""
    turned: list[int] = []
    streams = ClientStreams(turned.append)
    first = streams.open(7, Sink())
    second = streams.open(7, Sink())
    first()
    assert streams.of(7, "srv") is not None
    second()
    assert streams.of(7, "srv") is None
    assert turned == [7, 7, 7]


def test_servers_that_ask_under_the_same_id_are_told_apart() -> None:
    """Also when one of them takes its question back."""
    streams, stream = ClientStreams(), Sink()
    streams.open(7, stream)
    answers: list[bytes] = []
    for server_id in ("a", "b"):
        carrier = streams.of(7, server_id)
        assert carrier is not None
        body = b'{"jsonrpc":"2.0","id":1,"method":"roots/list","params":{"n":1.0}}'
        carrier.on_request(scan(body), answers.append)
        notice = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}'
        carrier.on_message(scan(notice))
    assert [message.id for message, _ in stream.questions] == [b'"a/1"', b'"b/1"']
    assert json.loads(stream.questions[0][0].body)["params"] == {"n": 1.0}
    taken = [json.loads(message.body)["params"] for message in stream.messages]
    assert taken == [{"requestId": "a/1"}, {"requestId": "b/1"}]
    stream.questions[1][1](b'"result":{}')
    assert answers == [b'"result":{}']
