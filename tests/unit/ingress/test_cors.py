"""Pages of allowed origins learn what they may do; others get not a word of it."""

import pytest

from only1mcp.ingress.cors import allowed, granted
from only1mcp.proxy.exchange import Answer
from tests.support.door import ACCEPT, JSON, STREAM, Door, send
from tests.support.loop import on_loop

APP = "https://app.example"
ORIGIN = b"Origin: https://app.example"
ASK = b"Access-Control-Request-Method: POST"


def words(value: str) -> set[str]:
    """Return the members of a list in a header, in lower case."""
    return {word.strip().lower() for word in value.split(",")}


@on_loop
async def test_a_preflight_is_told_all_that_mcp_needs() -> None:
    """Once, for some minutes; the service hears nothing of it."""
    door = Door(APP)
    async with door.open() as wire:
        asked = b"Access-Control-Request-Headers: content-type, mcp-param-region, x-other"
        reply = await send(wire, "OPTIONS", "/mcp", ORIGIN, ASK, asked)
        assert (reply.status, reply.body) == (204, b"")
        assert words(reply.headers["access-control-allow-methods"]) == {"post", "get", "delete"}
        assert words(reply.headers["access-control-allow-headers"]) == {
            "accept", "authorization", "content-type", "last-event-id", "mcp-protocol-version",
            "mcp-method", "mcp-name", "mcp-session-id", "mcp-param-region",
        }  # fmt: skip
        assert int(reply.headers["access-control-max-age"]) > 0
        assert reply.headers.items() >= {
            "access-control-allow-origin": APP, "vary": "Origin",
            "access-control-expose-headers": "Mcp-Session-Id",
        }.items()  # fmt: skip
    assert door.service.requests == []


@pytest.mark.parametrize(
    ("method", "path", "lines", "status"),
    [
        ("POST", "/mcp", [ACCEPT, JSON], 200), ("POST", "/mcp", [ACCEPT], 415),
        ("DELETE", "/mcp", [], 404), ("PUT", "/mcp", [], 405), ("OPTIONS", "/mcp", [], 405),
        ("GET", "/mcp", [STREAM], 404), ("GET", "/nothing", [], 404), ("GET", "/health", [], 503),
    ],
)  # fmt: skip
@on_loop
async def test_every_answer_to_an_allowed_page_can_be_read_by_it(
    method: str, path: str, lines: list[bytes], status: int
) -> None:
    """Refusals too, or it could not tell what was wrong."""
    async with Door(APP).open() as wire:
        body = b"{}" if method == "POST" else b""
        reply = await send(wire, method, path, ORIGIN, *lines, body=body)
    assert reply.status == status
    assert reply.headers["access-control-allow-origin"] == APP
    assert reply.headers["access-control-expose-headers"] == "Mcp-Session-Id"
    assert reply.headers["vary"] == "Origin"


@on_loop
async def test_a_stream_to_an_allowed_page_can_be_read_by_it() -> None:
    """Its head goes out before anything else does."""
    async with Door(APP).open() as wire:
        await wire.send(b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: alive\r\n"
                        + STREAM + b"\r\n" + ORIGIN + b"\r\n\r\n")  # fmt: skip
        head = await wire.reader.readuntil(b"\r\n\r\n")
    assert b"\r\nAccess-Control-Allow-Origin: https://app.example\r\n" in head
    assert b"\r\nContent-Type: text/event-stream\r\n" in head


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"Origin: https://evil.example", 403), (b"Origin: null", 403), (b"X: y", 200),
     (b"Origin: http://localhost:3000", 200)],
)  # fmt: skip
@on_loop
async def test_nobody_else_is_told_anything(line: bytes, status: int) -> None:
    """Neither foreign pages nor those of this host, which may call but were not asked for."""
    door = Door(APP)
    door.service.answer = Answer(200, b"{}", "session")
    async with door.open() as wire:
        reply = await send(wire, "POST", "/mcp", ACCEPT, JSON, line, body=b"{}")
        preflight = await send(wire, "OPTIONS", "/mcp", line, ASK)
    assert (reply.status, preflight.status) == (status, 403 if status == 403 else 405)
    for one in (reply, preflight):
        assert not [name for name in one.headers if name.startswith("access-control")]


def test_the_origin_is_given_back_as_it_was_written() -> None:
    """Browsers compare it letter by letter."""
    assert granted("https://APP.example")["Access-Control-Allow-Origin"] == "https://APP.example"


@pytest.mark.parametrize(
    "asked", ["", ",", "x-mcp-param-a", "mcp-param-", "mcp-param-é", "mcp-param-a b", "authorized"]
)
def test_other_headers_are_not_let_through(asked: str) -> None:
    """Only those that MCP knows, and those that repeat arguments."""
    assert allowed(["GET"], asked) == allowed(["GET"], "")
