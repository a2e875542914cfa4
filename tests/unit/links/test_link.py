"""Links over real unix sockets."""

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from only1mcp.links import frames
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, connect, peer_uid, serve
from tests.support.loop import eventually, on_loop


class End:
    """Makes the links of one end, and remembers what they say."""

    def __init__(self) -> None:
        self.frames: list[tuple[Kind, int, bytes]] = []
        self.opened: list[Link] = []
        self.closed: list[Link] = []

    def make(self) -> Link:
        """Make one."""
        return Link(self._on_frame, self.closed.append, self.opened.append)

    def _on_frame(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        assert link not in self.closed
        self.frames.append((kind, token, payload))


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Path, End]]:
    """Listen on a path; yields it and our end."""
    ours = End()
    with tempfile.TemporaryDirectory(prefix="o1-") as folder:
        path = Path(folder) / "l.sock"
        server = await serve(path, ours.make)
        try:
            yield path, ours
        finally:
            server.close()
            for link in ours.opened:
                link.close()
            await eventually(lambda: set(ours.opened) <= set(ours.closed), "all links to be closed")


@on_loop
async def test_frames_go_both_ways_in_order() -> None:
    """Small and large."""
    async with served() as (path, ours):
        theirs = End()
        link = await connect(path, theirs.make)
        sent = [(Kind.CALL, n, b"x" * n * 50_000) for n in range(8)]
        for frame in sent:
            assert link.send(*frame)
        await eventually(lambda: len(ours.frames) == len(sent), "all frames")
        assert ours.frames == sent
        assert ours.opened[0].send(Kind.EVENT)
        await eventually(lambda: theirs.frames, "the event")
        assert theirs.frames == [(Kind.EVENT, 0, b"")]
        link.close()


@on_loop
async def test_a_frame_that_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever would read it closed the link, with all that is on it."""
    monkeypatch.setattr(frames, "MAX_PAYLOAD_BYTES", 10)
    async with served() as (path, ours):
        link = await connect(path, End().make)
        assert not link.send(Kind.CALL, 1, bytes(11))
        assert link.send(Kind.CALL, 2, bytes(10))
        await eventually(lambda: ours.frames, "the other frame")
        assert (ours.frames, link.opened) == ([(Kind.CALL, 2, bytes(10))], True)
        link.close()


@on_loop
async def test_both_ends_learn_once_that_the_link_is_closed() -> None:
    """And nothing is sent from then on."""
    async with served() as (path, ours):
        theirs = End()
        link = await connect(path, theirs.make)
        opened = [link.opened]
        link.close()
        link.close()
        await eventually(lambda: ours.closed and theirs.closed, "both ends to hear of it")
        assert theirs.closed == [link]
        assert len(ours.closed) == 1
        assert [*opened, link.opened] == [True, False]
        assert link.send(Kind.CALL, 1, b"x") is False
        link.close()


@pytest.mark.parametrize("garbage", [b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n"])
@on_loop
async def test_a_peer_that_speaks_no_frames_is_cut_off(garbage: bytes) -> None:
    """Frames before the garbage are not undone, none after it is read."""
    async with served() as (path, ours):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(garbage)
        assert await reader.read() == b""
        writer.close()
        await eventually(lambda: ours.closed, "our end to hear of it")
        assert ours.frames == []


@on_loop
async def test_only_our_own_user_may_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says who the peer is; we pretend to be somebody else."""
    async with served() as (path, ours):
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            ended = await reader.read()
        except ConnectionResetError:
            ended = b""
        assert ended == b""
        writer.close()
        await eventually(lambda: ours.closed, "our end to hear of it")
        assert ours.opened == []


def test_the_kernel_tells_the_uid_of_the_peer() -> None:
    """Of this very process, here."""
    left, right = socket.socketpair()
    with left, right:
        assert peer_uid(left) == os.getuid()


@on_loop
async def test_a_socket_that_a_dead_process_left_is_replaced() -> None:
    """And connecting where nobody listens is an error."""
    async with served() as (path, _):
        stale = path.with_name("s.sock")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(stale))
        with pytest.raises(OSError, match="refused"):
            await connect(stale, End().make)
        ours = End()
        server = await serve(stale, ours.make)
        theirs = End()
        link = await connect(stale, theirs.make)
        await eventually(lambda: ours.opened, "the link")
        link.close()
        await eventually(lambda: ours.closed and theirs.closed, "both ends to hear of it")
        server.close()


@on_loop
async def test_connecting_where_nothing_is_raises() -> None:
    """As the docstring says."""
    with pytest.raises(OSError, match="No such file"):
        await connect(Path("/nonexistent/l.sock"), End().make)
