"""How an opening fails: what a person reads, and whether another try makes sense."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from only1mcp.errors import BackendProtocolError, BackendUnreachable
from only1mcp.transports.legacy_sse import LegacySseChannel
from only1mcp.transports.opening import refusal
from only1mcp.transports.streamable_http import make_client
from only1mcp.transports.websocket import WebSocketChannel
from tests.support.heard import Heard
from tests.support.http_site import http_site, raw_site
from tests.support.loop import eventually, on_loop
from tests.support.ports import free_port

Kind = type[WebSocketChannel] | type[LegacySseChannel]
LONG_S = 20.0
BOTH = pytest.mark.parametrize("kind", [WebSocketChannel, LegacySseChannel])


async def attempt(
    kind: Kind, url: str, headers: dict[str, str] | None = None, timeout_s: float = LONG_S
) -> None:
    """Try to open a channel that cannot be opened; its observer must hear of nothing."""
    heard = Heard()
    scheme = "ws" if kind is WebSocketChannel else "http"
    async with make_client() as client:
        try:
            await kind.open(
                client, "srv", url.replace("http", scheme, 1), headers or {}, timeout_s, heard
            )
        finally:
            assert (heard.lines, heard.exits) == ([], [])


@asynccontextmanager
async def silent_site() -> AsyncIterator[tuple[int, set[object]]]:
    """Accept connections and say nothing; yields the port and the addresses that are connected."""
    connected: set[object] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")
        connected.add(address)
        await reader.read()
        connected.remove(address)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], connected
    finally:
        server.close()


async def only_a_later_one_is_connected(port: int, connected: set[object]) -> None:
    """Wait until a connection of ours, accepted after all others, is the only one."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    ours = writer.get_extra_info("sockname")
    await eventually(lambda: connected == {ours}, "the others to be gone")
    writer.close()


def self_signed(folder: Path) -> Path:
    """Write a certificate that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "both.pem"
    path.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
    return path


@pytest.mark.parametrize(
    ("status", "failure", "hint"),
    [(401, BackendUnreachable, "auth"), (403, BackendUnreachable, "auth"),
     (429, BackendUnreachable, None), (500, BackendUnreachable, None),
     (503, BackendUnreachable, None), (301, BackendProtocolError, "redirects"),
     (307, BackendProtocolError, "redirects"), (404, BackendProtocolError, "url"),
     (405, BackendProtocolError, "url"), (204, BackendProtocolError, "url")],
)  # fmt: skip
@BOTH
@on_loop
async def test_a_status_says_who_can_do_what(
    kind: Kind, status: int, failure: type[Exception], hint: str | None
) -> None:
    """Credentials and addresses are for a person to correct; an outage may pass by itself."""

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/other"})

    async with http_site(handle) as url:
        with pytest.raises(failure, match=f"server srv .*{status}") as caught:
            await attempt(kind, url)
    told = refusal("srv", status)
    assert str(caught.value) == str(told)
    assert (hint in (told.hint or "")) if hint else told.hint is None


@BOTH
@on_loop
async def test_no_redirect_takes_our_credentials_elsewhere(kind: Kind) -> None:
    """Not even one that keeps method and headers."""
    lured: list[str] = []

    async def lure(request: web.BaseRequest) -> web.StreamResponse:
        lured.append(request.headers["Authorization"])
        return web.Response()

    async with http_site(lure) as elsewhere:

        async def handle(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": elsewhere})

        async with http_site(handle) as url:
            with pytest.raises(BackendProtocolError, match="redirects"):
                await attempt(kind, url, {"Authorization": "Bearer secret"})
    assert lured == []


@BOTH
@on_loop
async def test_where_nobody_listens_nothing_can_be_reached(kind: Kind) -> None:
    """It can be tried again later."""
    port = free_port()
    with pytest.raises(BackendUnreachable, match="server srv cannot be reached") as caught:
        await attempt(kind, f"http://127.0.0.1:{port}/mcp")
    assert caught.value.detail is not None
    assert caught.value.detail.startswith(f"127.0.0.1:{port} refuses connections; is the server")


@pytest.mark.parametrize(
    ("url", "why"),
    [("http://name.invalid/mcp", "the name name.invalid cannot be resolved: "),
     ("http://[::1]:{port}/mcp", "[::1]:{port}"), ("http://localhost:{port}/", "localhost:{port}"),
     ("https://127.0.0.1:{port}/mcp", "127.0.0.1:{port} refuses connections; ")],
)  # fmt: skip
@BOTH
@on_loop
async def test_why_nothing_can_be_reached_is_said_in_words_for_a_person(
    kind: Kind, url: str, why: str
) -> None:
    """It names the place, and nothing of the library that did not reach it."""
    port = free_port()
    with pytest.raises(BackendUnreachable) as caught:
        await attempt(kind, url.format(port=port))
    detail = str(caught.value.detail)
    assert detail.startswith(why.format(port=port))
    assert "ssl:default" not in detail


@BOTH
@on_loop
async def test_silence_is_not_waited_out(kind: Kind) -> None:
    """The connection that was made is let go."""
    async with silent_site() as (port, connected):
        with pytest.raises(BackendUnreachable, match=r"open a session within 0\.05 s"):
            await attempt(kind, f"http://127.0.0.1:{port}/mcp", timeout_s=0.05)
        await only_a_later_one_is_connected(port, connected)


@BOTH
@on_loop
async def test_a_server_that_hangs_up_was_not_reached(kind: Kind) -> None:
    """No message was sent: another try is safe."""
    async with raw_site(b"") as url:
        with pytest.raises(BackendUnreachable, match="cannot be reached"):
            await attempt(kind, url)


@BOTH
@on_loop
async def test_another_protocol_is_recognised_as_such(kind: Kind) -> None:
    """Somebody wrote a wrong port into the configuration."""
    async with raw_site(b"220 mail.example ESMTP\r\n") as url:
        with pytest.raises(BackendProtocolError) as caught:
            await attempt(kind, url)
    assert caught.value.hint is not None
    assert "url" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "headers"),
    [("http://", {}), ("http:///path", {}), ("gopher://127.0.0.1/", {}), ("no address", {}),
     ("http://127.0.0.1:99999/", {}), ("http://127.0.0.1:1/", {"X": "a\r\nb"}),
     ("http://me:pw@127.0.0.1:1/", {"Authorization": "x"})],
)  # fmt: skip
@BOTH
@on_loop
async def test_what_cannot_be_sent_at_all_is_unreachable(
    kind: Kind, url: str, headers: dict[str, str]
) -> None:
    """An impossible address or header must not end whoever keeps the channel."""
    with pytest.raises(BackendUnreachable):
        await attempt(kind, url, headers)


@BOTH
@on_loop
async def test_a_certificate_that_nobody_vouches_for_is_refused(kind: Kind, tmp_path: Path) -> None:
    """Encryption to the wrong machine protects nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    try:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BackendUnreachable) as caught:
            await attempt(kind, f"https://127.0.0.1:{port}/mcp")
    finally:
        server.close()
    assert "certificate" in (caught.value.detail or "").lower()


@pytest.mark.parametrize("turns", range(1, 14, 2))
@BOTH
@on_loop
async def test_an_opening_that_is_called_off_leaves_no_connection(kind: Kind, turns: int) -> None:
    """At whatever moment."""
    async with silent_site() as (port, connected):
        url = f"http://127.0.0.1:{port}/mcp"
        opening = asyncio.get_running_loop().create_task(attempt(kind, url))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await only_a_later_one_is_connected(port, connected)
