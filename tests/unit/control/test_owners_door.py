"""Who may speak on control's own socket."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest

from only1mcp.control.owners_door import OwnersDoor
from only1mcp.links.link import serve
from tests.support.loop import on_loop

STRANGER = 65_534


class _Greeter(asyncio.Protocol):
    """Answers whoever is let in."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"welcome to " + data)
        self._transport.close()


@contextlib.asynccontextmanager
async def _door() -> AsyncIterator[Path]:
    """Listen where everybody may connect."""
    with tempfile.TemporaryDirectory(prefix="o1-") as folder:
        path = Path(folder) / "c.sock"
        server = await serve(path, lambda: OwnersDoor(_Greeter))
        path.parent.chmod(0o755)
        path.chmod(0o777)
        try:
            yield path
        finally:
            server.close()


@contextlib.contextmanager
def _stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be another user, or, where that cannot be, have the door take us for one."""
    if os.getuid() != 0:
        monkeypatch.setattr(os, "getuid", lambda: STRANGER)
        yield
        return
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)


async def _heard(path: Path) -> bytes:
    """Connect; returns all that is said to us."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"us")
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@on_loop
async def test_our_own_user_is_let_in() -> None:
    """And is heard by whoever is behind the door from the first byte on."""
    async with _door() as path:
        assert await _heard(path) == b"welcome to us"


@on_loop
async def test_another_user_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the socket itself would let him connect."""
    async with _door() as path:
        with _stranger(monkeypatch):
            assert await _heard(path) == b""
