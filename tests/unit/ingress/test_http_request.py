"""What a request must say of its body and of the answer."""

import pytest

from tests.support.door import ACCEPT, JSON, Door, send
from tests.support.loop import on_loop


@pytest.mark.parametrize(
    "lines",
    [
        [], [ACCEPT], [b"Accept: */*"], [b"Accept: application/*, text/*"],
        [b"Accept: text/event-stream;q=0.5,application/json"], [b"accept: Application/JSON, */*"],
        [b"Accept: application/json", b"Accept: text/event-stream"],
        [b"Accept: */*;q=0, application/json;q=0.001, text/event-stream;q=1"],
        [b"Accept: image/png;q=0, application/json;v=1;q=0, application/json, text/*"],
    ],
)  # fmt: skip
@on_loop
async def test_a_client_that_accepts_both_types_is_served(lines: list[bytes]) -> None:
    """By name, by pattern, or by saying nothing."""
    async with Door().open() as wire:
        assert (await send(wire, "POST", "/mcp", JSON, *lines, body=b"{}")).status == 200


@pytest.mark.parametrize(
    "accept",
    [
        b"application/json",
        b"text/event-stream",
        b"text/html",
        b"text/*",
        b"",
        b"application/json;q=0, text/event-stream",
        b"*/*, text/*; Q=0.000",
        b"application/json, text/event-stream; level=1 ;q=0.",
    ],
)
@on_loop
async def test_a_client_that_does_not_is_406(accept: bytes) -> None:
    """With a hint that names what to send."""
    async with Door().open() as wire:
        reply = await send(wire, "POST", "/mcp", JSON, b"Accept: " + accept, body=b"{}")
    assert reply.status == 406
    assert "send Accept: application/json, text/event-stream" in reply.body.decode()
