"""Where a stream tells us to post to: at its own origin, or the channel does not open."""

import pytest
from aiohttp import web

from only1mcp.errors import BackendProtocolError, BackendUnreachable
from only1mcp.protocol.event_stream import encode
from only1mcp.transports import sse_stream
from tests.support.http_site import http_site, raw_site
from tests.support.loop import eventually, on_loop
from tests.support.messages import legacy
from tests.support.sse_site import SseSite, sse_channel

CALL = legacy("tools/call", {"name": "x"}, request_id=7)
RESULT = b'{"jsonrpc":"2.0","id":7,"result":{}}'
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [("/m?s=1", "/m?s=1"), ("m", "/m"), ("?s=a%2Fb+c", "/mcp?s=a%2Fb+c"), ("/m#part", "/m"),
     ("http://localhost:{port}/m", "/m"), ("//localhost:{port}/m", "/m"),
     ("HTTP://LocalHost:{port}/m", "/m"), ("http://evil:pw@localhost:{port}/m", "/m"),
     (" /m ", "/m"), ("/a b?c=\u00e9", "/a%20b?c=%C3%A9")],
)  # fmt: skip
@on_loop
async def test_the_address_to_post_to_is_read_as_a_link_on_the_stream(
    endpoint: str, path: str
) -> None:
    """Relative or absolute; credentials that somebody wrote into it are not sent."""
    site = SseSite()
    async with site.open() as url:
        port = url.split(":")[2].split("/")[0]
        site.greeting = encode(endpoint.format(port=port).encode(), event="endpoint")
        async with sse_channel(url.replace("127.0.0.1", "localhost")) as (subject, _):
            subject.write(CALL)
            await eventually(lambda: site.posted, "the message")
    assert site.paths[-1] == f"POST {path}"
    assert "authorization" not in site.headers[-1]


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.2:{port}/m", "http://localhost:{port}/m", "http://127.0.0.1.:{port}/m",
     "https://127.0.0.1:{port}/m", "http://127.0.0.1/m",
     "//127.0.0.2:{port}/m", "file:///etc/passwd", "http://[/m",
     "http://127.0.0.1:{port}@evil.example/m", "javascript:1"],
)  # fmt: skip
@on_loop
async def test_another_origin_is_never_posted_to(endpoint: str) -> None:
    """Our messages and credentials are meant for the server that was configured."""
    site = SseSite()
    async with site.open() as url:
        port = url.split(":")[2].split("/")[0]
        site.greeting = encode(endpoint.format(port=port).encode(), event="endpoint")
        with pytest.raises(BackendProtocolError, match="posted to another origin"):
            async with sse_channel(url):
                pass
        await eventually(lambda: site.streams == [], "the stream to be let go")
    assert site.posted == []


@on_loop
async def test_our_own_credentials_in_the_address_go_along() -> None:
    """A relative link means the same server, asked in the same way."""
    site = SseSite()
    async with (
        site.open() as url,
        sse_channel(url.replace("http://", "http://me:pw@")) as (subject, _),
    ):
        subject.write(CALL)
        await eventually(lambda: site.posted, "the message")
    assert [headers["authorization"] for headers in site.headers] == ["Basic bWU6cHc="] * 2


@on_loop
async def test_what_nobody_asked_for_may_stand_before_the_address() -> None:
    """Comments, pings, and events that came with the same bytes."""
    site = SseSite()
    site.greeting = (
        b": hello\n\n" + encode(b"1", event="ping") + site.greeting + encode(RESULT)
        + encode(b"x", event="other") + encode(b"") + encode(b"/elsewhere", event="endpoint")
    )  # fmt: skip
    async with site.open() as url, sse_channel(url) as (subject, heard):
        await eventually(lambda: heard.lines, "the event")
        subject.write(CALL)
        await eventually(lambda: site.posted, "the message")
    assert heard.lines == [RESULT]
    assert site.paths[-1] == "POST /message?sessionId=1"


@pytest.mark.parametrize("greeting", [encode(RESULT), b"", b": only a comment\n\n"])
@on_loop
async def test_a_stream_that_names_no_address_is_of_another_transport(greeting: bytes) -> None:
    """Streamable HTTP has streams too."""
    site = SseSite(greeting)
    site.end()
    async with site.open() as url:
        with pytest.raises(BackendProtocolError, match="where to post to") as caught:
            async with sse_channel(url):
                pass
    assert caught.value.hint is not None


@on_loop
async def test_an_address_is_not_waited_for_for_ever() -> None:
    """The stream is let go; nothing was sent."""
    site = SseSite(b": wait\n\n")
    async with site.open() as url:
        with pytest.raises(BackendUnreachable, match=r"within 0\.1 s"):
            async with sse_channel(url, timeout_s=0.1):
                pass
        await eventually(lambda: site.paths and site.streams == [], "the stream to be let go")


@on_loop
async def test_a_page_is_not_a_stream() -> None:
    """Whatever its status says."""

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="<h1>It works!</h1>", content_type="text/html")

    async with http_site(handle) as url:
        with pytest.raises(BackendProtocolError, match="text/html, not with an event stream"):
            async with sse_channel(url):
                pass


@on_loop
async def test_an_over_long_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of zeros is not an event stream."""
    monkeypatch.setattr(sse_stream, "MAX_MESSAGE_BYTES", 1000)
    async with raw_site(STREAM_HEAD + b"\0" * 2000) as url:
        with pytest.raises(BackendProtocolError, match="passes 1000 bytes"):
            async with sse_channel(url):
                pass
