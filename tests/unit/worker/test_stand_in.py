"""One worker accepts on the sockets of others, as long as it is told to."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import cast

import pytest

from only1mcp.tasks import Tasks
from only1mcp.worker.stand_in import StandIn
from tests.support.loop import PATIENCE_S, on_loop


class _Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        greeted = cast("asyncio.Transport", transport)
        greeted.write(b"hello")
        greeted.close()


async def _accept(listener: socket.socket) -> Sequence[asyncio.AbstractServer]:
    loop = asyncio.get_running_loop()
    return [await loop.create_server(_Greeter, sock=listener.dup())]


async def _connected(listener: socket.socket) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, listener.getsockname())
    return client


async def _is_greeted(client: socket.socket) -> bool:
    async with asyncio.timeout(PATIENCE_S):
        with client:
            return await asyncio.get_running_loop().sock_recv(client, 5) == b"hello"


@on_loop
async def test_clients_are_let_in_where_they_would_wait_and_wait_again_afterwards() -> None:
    """What comes when it is over stays with the socket, for whoever is there next."""
    with contextlib.ExitStack() as stack:
        known = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        for listener in known:
            listener.setblocking(False)
        tasks = Tasks()
        stand_in = StandIn(known, _accept, tasks)
        early = await _connected(known[1])
        stand_in.follow(0b10)
        stand_in.follow(0b10)
        assert await _is_greeted(early)
        assert await _is_greeted(await _connected(known[1]))
        stand_in.follow(0)
        late = await _connected(known[1])
        stand_in.follow(0b01)
        assert await _is_greeted(await _connected(known[0]))  # the loop has turned since
        accepted, _ = known[1].accept()
        with accepted:
            accepted.sendall(b"hello")
        assert await _is_greeted(late)
        stand_in.close()
        await tasks.cancel_all()


@on_loop
async def test_what_is_over_before_it_has_begun_leaves_nothing_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The word may change before the loop has turned."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        tasks = Tasks()
        stand_in = StandIn([listener], _accept, tasks)
        stand_in.follow(1)
        stand_in.close()
        for _ in range(3):
            await asyncio.sleep(0)
        waiting = await _connected(listener)
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(b"hello")
        assert await _is_greeted(waiting)
        await tasks.cancel_all()
    assert caplog.text == ""


@on_loop
async def test_who_drains_stands_in_no_more_whatever_it_is_told() -> None:
    """A bell that rings for new settings finds the word that stood there before."""
    opened = []

    async def note(listener: socket.socket) -> Sequence[asyncio.AbstractServer]:
        opened.append(listener)
        return []

    with socket.socket() as listener:
        tasks = Tasks()
        stand_in = StandIn([listener], note, tasks)
        stand_in.follow(1)
        await asyncio.sleep(0)
        stand_in.close()
        stand_in.follow(1)
        await asyncio.sleep(0)
        assert opened == [listener]
        await tasks.cancel_all()
