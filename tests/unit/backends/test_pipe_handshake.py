"""Meeting servers on a channel of lines: quick ones, slow ones, and those that say nothing."""

from typing import Any

import pytest

from only1mcp.backends.pipe_handshake import AnsweredLate, shake_hands
from only1mcp.errors import BackendLost, BackendProtocolError, BackendTimeout
from only1mcp.protocol.versions import NEWEST_LEGACY, Era
from tests.support.loop import on_loop
from tests.support.pipe_peer import Peer, legacy_server, modern_server

LONG_S = 30.0


@on_loop
async def test_a_modern_server_is_met_by_the_probe_alone() -> None:
    """No initialize, which could pin it to the other era."""
    peer = Peer(modern_server)
    hello = await shake_hands(peer.session, LONG_S, LONG_S, probe=True)
    assert hello.era is Era.MODERN
    assert [message["method"] for message in peer.messages] == ["server/discover"]


@on_loop
async def test_a_legacy_server_is_met_by_initialize_after_the_probe() -> None:
    """And told when we are ready."""
    peer = Peer(legacy_server)
    hello = await shake_hands(peer.session, LONG_S, LONG_S, probe=True)
    assert (hello.era, hello.version) == (Era.LEGACY, NEWEST_LEGACY)
    assert [message["method"] for message in peer.messages] == [
        "server/discover", "initialize", "notifications/initialized",
    ]  # fmt: skip


@on_loop
async def test_a_server_that_cannot_stand_the_probe_is_spared_it() -> None:
    """It hears initialize first."""
    peer = Peer(legacy_server)
    await shake_hands(peer.session, LONG_S, LONG_S, probe=False)
    assert peer.messages[0]["method"] == "initialize"


@on_loop
async def test_a_server_that_speaks_no_revision_of_ours_is_refused() -> None:
    """It is told nothing more."""
    peer = Peer(lambda message: {"error": {"code": -32601, "message": "no"}})
    with pytest.raises(BackendProtocolError):
        await shake_hands(peer.session, LONG_S, LONG_S, probe=True)
    assert [message["method"] for message in peer.messages] == ["server/discover", "initialize"]


@on_loop
async def test_a_server_that_stays_silent_is_a_timeout() -> None:
    """To the probe as to initialize."""
    for probe in (True, False):
        with pytest.raises(BackendTimeout):
            await shake_hands(Peer().session, 0.02, 0.02, probe=probe)


def waking(script: Any, *, ignores: str = "") -> Peer:
    """Return a peer that reads nothing until `initialize` is sent, and then all, in order."""
    missed: list[Any] = []

    def answer(message: Any) -> object:
        missed.append(message)
        if message["method"] == "initialize":
            for earlier in missed[:-1]:
                if earlier["method"] != ignores:
                    peer.say({"jsonrpc": "2.0", "id": earlier["id"], **script(earlier)})
            return script(message)
        return None

    peer = Peer(answer)
    return peer


@on_loop
async def test_a_legacy_server_that_starts_slowly_is_met_on_the_same_process() -> None:
    """It finds the probe and `initialize` when it comes to read them."""
    peer = waking(legacy_server)
    hello = await shake_hands(peer.session, 0.01, LONG_S, probe=True)
    assert hello.era is Era.LEGACY
    assert not peer.session.ignores_probe


@on_loop
async def test_a_server_that_passes_over_the_probe_is_remembered_for_it() -> None:
    """It answers `initialize` alone: the next time it need not be waited for."""
    peer = waking(legacy_server, ignores="server/discover")
    assert (await shake_hands(peer.session, 0.01, LONG_S, probe=True)).era is Era.LEGACY
    assert peer.session.ignores_probe
    assert "notifications/cancelled" in [message["method"] for message in peer.messages]


@on_loop
async def test_a_modern_server_that_starts_slowly_is_started_again() -> None:
    """It was sent `initialize`, which may have pinned it to the other era."""
    peer = waking(modern_server)
    with pytest.raises(AnsweredLate, match="slow to start"):
        await shake_hands(peer.session, 0.01, LONG_S, probe=True)
    assert not peer.session.ignores_probe


@on_loop
async def test_a_server_that_ends_at_the_probe_is_lost() -> None:
    """Also when it had been silent before."""
    peer = Peer()

    def die(message: Any) -> object:
        del message
        peer.session.close("is gone")
        return None

    peer = Peer(die)
    with pytest.raises(BackendLost):
        await shake_hands(peer.session, LONG_S, LONG_S, probe=True)
