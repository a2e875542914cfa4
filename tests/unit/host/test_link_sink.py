"""A call's end on its way back over a link."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from only1mcp._speedups import scan
from only1mcp.backends.call import Respond
from only1mcp.errors import BackendProtocolError
from only1mcp.host.link_sink import LinkSink
from only1mcp.links import frames
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, connect, serve
from only1mcp.links.wire import decode_failure
from tests.support.loop import eventually, on_loop

LARGE = scan(b'{"jsonrpc":"2.0","id":1,"result":"%b"}' % (b"x" * 300))
ASKED = scan(b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"p":"%b"}}' % (b"x" * 300))


@on_loop
async def test_what_is_too_large_for_the_link_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an answer for the caller, of a question for the server; a notification is dropped."""
    monkeypatch.setattr(frames, "MAX_PAYLOAD_BYTES", 200)
    heard: list[tuple[Kind, int, bytes]] = []
    refused: list[bytes] = []
    forgotten: list[int] = []
    questions: dict[int, Respond] = {}
    with TemporaryDirectory(prefix="o1-") as folder:
        path = Path(folder) / "l.sock"
        server = await serve(path, lambda: Link(lambda _, *frame: heard.append(frame), _nothing))
        link = await connect(path, lambda: Link(lambda *_: None, _nothing))
        sink = LinkSink(lambda _, token: forgotten.append(token), link, 7, questions)
        sink.on_request(ASKED, refused.append)
        sink.on_message(ASKED)
        sink.on_reply(LARGE)
        await eventually(lambda: heard, "the failure")
        link.close()
        server.close()
    ((kind, token, payload),) = heard
    failure = decode_failure(payload)
    assert (kind, token, type(failure)) == (Kind.FAILED, 7, BackendProtocolError)
    assert "is too large" in str(failure)
    assert b"is too large" in refused[0]
    assert (questions, forgotten) == ({}, [7])


def _nothing(link: Link) -> None:
    """Let it close."""
