"""The fast lane under many clients and a server that do all they can do wrong, on real sockets."""

import pytest

from only1mcp import _speedups
from only1mcp.protocol.versions import Era
from tests.support.hammer import Hammer
from tests.support.loop import on_loop

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")


@pytest.mark.parametrize(
    ("era", "server"),
    [(Era.LEGACY, Era.LEGACY), (Era.MODERN, Era.MODERN), (Era.MODERN, Era.LEGACY)],
    ids=["legacy", "modern", "across"],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
@on_loop
async def test_every_call_gets_its_own_answer_or_one_error(
    era: Era, server: Era, seed: int
) -> None:
    """Whatever client and server do to their connections; `loadtests.hammer` does more of it."""
    hammer = Hammer(seed, era, server)
    await hammer.run(clients=8, rounds=6)
    tally = hammer.tally
    assert tally.answered > 20
    assert tally.refused > 10
    assert tally.dropped > 5
