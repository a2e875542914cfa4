"""One server tried by itself, a real child."""

import sys

from only1mcp.host.trial import Trial, try_server
from only1mcp.registry.server import Server
from tests.support import stdio_child
from tests.support.loop import on_loop


async def _tried(*moods: str, timeout_s: float = 30.0) -> Trial:
    declared = Server(
        "srv", "stdio", "srv", command=sys.executable, args=(str(stdio_child.__file__), *moods),
        handshake_timeout_s=timeout_s,
    )  # fmt: skip
    return await try_server(declared)


@on_loop
async def test_a_server_is_met_and_listed_whatever_it_makes_of_the_probe() -> None:
    """It answers, ends, or takes longer for its first word than the probe is given at first."""
    for moods, timeout_s in ((), 30.0), (("no-probe",), 30.0), (("modern", "slow=1"), 0.5):
        trial = await _tried(*moods, timeout_s=timeout_s)
        assert trial.problem == "", moods
        assert trial.catalogue is not None
        assert len(trial.catalogue.tools) == 4


@on_loop
async def test_a_server_that_ends_at_once_is_a_problem_with_its_last_words() -> None:
    """And not one of ours."""
    trial = await _tried("crash")
    assert "no license" in trial.problem
    assert trial.catalogue is None
