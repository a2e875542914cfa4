"""What network channels share: the box of what waits, and one end however it comes about."""

import asyncio

import pytest

from only1mcp.transports import remote_channel
from only1mcp.transports.remote_channel import Outbox, RemoteChannel
from tests.support.heard import Heard
from tests.support.loop import eventually, on_loop


class Scripted(RemoteChannel):
    """A channel to nowhere that does as a test says."""

    def __init__(self, observer: Heard) -> None:
        super().__init__(observer)
        self.received: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.can_send = True
        self.sent: list[bytes] = []
        self.hung_up = 0
        self._begin()

    async def _receive(self) -> str:
        return await self.received

    async def _send(self) -> None:
        while (message := await self._outbox.get()) is not None:
            if not self.can_send:
                raise RuntimeError("a mistake of ours")
            self.sent.append(message)
            self._outbox.sent(message)

    async def _hang_up(self) -> None:
        self.hung_up += 1


@on_loop
async def test_messages_leave_the_box_in_order_up_to_its_end() -> None:
    """Closed, it takes no more, yet gives out what it holds."""
    box = Outbox()
    assert box.put(b"1")
    assert box.put(b"2")
    box.close()
    box.close()
    assert box.put(b"3") is False
    assert [await box.get(), await box.get(), await box.get()] == [b"1", b"2", None]


@on_loop
async def test_the_box_is_full_until_something_was_really_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was merely taken out of it occupies memory still."""
    monkeypatch.setattr(remote_channel, "MAX_UNSENT_BYTES", 10)
    box = Outbox()
    assert box.put(b"x" * 11)
    assert box.put(b"y") is False
    assert await box.get() == b"x" * 11
    assert box.put(b"y") is False
    box.sent(b"x" * 11)
    assert box.put(b"y")


@on_loop
async def test_the_first_reason_for_the_end_is_the_one_that_is_told() -> None:
    """Once; what happens afterwards is its consequence."""
    heard = Heard()
    subject = Scripted(heard)
    subject.received.set_result("went away")
    await eventually(subject.exited.is_set, "its end")
    subject.kill()
    await subject.stop(0.0)
    assert (heard.exits, subject.hung_up) == (["went away"], 1)


@pytest.mark.parametrize("half", ["reads", "sends"])
@on_loop
async def test_a_channel_that_is_half_dead_ends(
    half: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of ours must not leave one that is deaf or mute; the log tells of it."""
    heard = Heard()
    subject = Scripted(heard)
    if half == "reads":
        subject.received.set_exception(RuntimeError("a mistake of ours"))
    else:
        subject.can_send = False
        assert subject.write(b"x")
    await eventually(subject.exited.is_set, "its end")
    assert (heard.exits, subject.hung_up) == (["failed"], 1)
    assert "a background task failed" in caplog.text


@on_loop
async def test_the_other_side_has_its_time_of_grace_and_no_more() -> None:
    """What was written is sent in it; then we hang up."""
    heard = Heard()
    subject = Scripted(heard)
    assert subject.write(b"last words")
    await subject.stop(0.02)
    assert (subject.sent, heard.exits, subject.hung_up) == (
        [b"last words"], ["was disconnected"], 1,
    )  # fmt: skip
    assert subject.received.cancelled(), "nobody reads any more"


@on_loop
async def test_a_loop_that_ends_takes_its_channels_along() -> None:
    """Whoever waits for their end is told."""
    heard = Heard()
    subject = Scripted(heard)
    await asyncio.sleep(0)
    assert subject._living is not None
    subject._living.cancel()
    await eventually(subject.exited.is_set, "its end")
    assert (heard.exits, subject.hung_up) == (["was disconnected"], 1)
