"""Calls that came before their server was there."""

import pytest

from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.errors import BackendUnreachable
from only1mcp.host import waiting_room
from only1mcp.host.waiting_room import WaitingRoom
from only1mcp.protocol.versions import Era
from tests.support.sink import Sink


def outgoing(number: int) -> Outgoing:
    """Return a call."""
    return Outgoing("tools/call", b"%d" % number, Era.LEGACY)


class Server:
    """Takes calls once it is there."""

    def __init__(self) -> None:
        self.sent: list[tuple[Outgoing, ReplySink]] = []
        self.cancelled: list[bytes] = []

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Take one."""
        self.sent.append((outgoing, sink))
        return lambda: self.cancelled.append(outgoing.params)


def test_calls_are_sent_in_order_with_their_own_sinks() -> None:
    """Once."""
    room, server = WaitingRoom(), Server()
    sinks = [Sink() for _ in range(3)]
    for number, sink in enumerate(sinks):
        room.enter(outgoing(number), sink)
    assert len(room) == 3
    room.send(server.call)
    room.send(server.call)
    assert [call.params for call, _ in server.sent] == [b"0", b"1", b"2"]
    assert [sink for _, sink in server.sent] == sinks
    assert len(room) == 0


def test_one_that_is_abandoned_is_not_sent() -> None:
    """Abandoned later, the server is told."""
    room, server = WaitingRoom(), Server()
    before, after, _ = (room.enter(outgoing(number), Sink()) for number in range(3))
    before()
    before()
    room.send(server.call)
    after()
    assert [call.params for call, _ in server.sent] == [b"1", b"2"]
    assert server.cancelled == [b"1"]
    before()
    assert server.cancelled == [b"1"]


def test_all_fail_together_and_once() -> None:
    """With the same reason; abandoning them then does nothing."""
    room, server = WaitingRoom(), Server()
    sinks = [Sink(), Sink()]
    cancels = [room.enter(outgoing(0), sink) for sink in sinks]
    room.fail(BackendUnreachable("gone"))
    room.fail(BackendUnreachable("again"))
    for cancel in cancels:
        cancel()
    room.send(server.call)
    assert [[str(one) for one in sink.heard] for sink in sinks] == [["gone"], ["gone"]]
    assert server.sent == []


def test_the_room_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks first finds out."""
    monkeypatch.setattr(waiting_room, "MAX_WAITING", 2)
    room = WaitingRoom()
    fulls = [room.full]
    leave = room.enter(outgoing(0), Sink())
    room.enter(outgoing(1), Sink())
    fulls.append(room.full)
    leave()
    assert [*fulls, room.full] == [False, True, False]
