"""The short form of the load test `loadtests.nonces`."""

from loadtests.nonce_client import LANES
from loadtests.nonces import CLIENTS, load, stage
from tests.support.loop import on_loop

CALLS = 5000


@on_loop
async def test_every_answer_reaches_its_own_caller_under_stress() -> None:
    """Equal ids, both eras, cancellations, timeouts, questions and killed workers."""
    with stage() as gateway:
        run = await load(gateway, CALLS, kill_every_s=2.0)
    assert run.outcomes.total() == CALLS
    assert run.errors == {}
    assert run.outcomes["lost"] <= run.kills * CLIENTS * LANES
    assert run.outcomes["answered"] > 0.8 * CALLS
    assert min(run.kills, run.questions) > 0
    assert min(run.outcomes[outcome] for outcome in ("cancelled", "timed out")) > 0
