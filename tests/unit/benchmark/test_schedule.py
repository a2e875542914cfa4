"""When calls are due."""

from itertools import pairwise

import pytest

from chaos.waves import Waves
from only1mcp.benchmark.schedule import Even, Schedule

SCHEDULES = [Even(1000.0), Even(7.0), Waves(100.0, 300.0, 0.5), Waves(3.0, 70.0, 1.5)]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_call_is_due_from_its_moment_on(schedule: Schedule) -> None:
    """What is due and when it is are two answers of one rule."""
    moments = [schedule.moment(number) for number in range(400)]
    assert moments[0] == 0.0
    assert all(earlier < later for earlier, later in pairwise(moments))
    for number, moment in enumerate(moments):
        assert schedule.due(moment + 1e-9) == number + 1
        assert schedule.due(moment - 1e-6) == number


def test_waves_change_between_two_rates() -> None:
    """Each half has its own number of calls."""
    waves = Waves(100.0, 300.0, 0.5)
    assert [waves.due(moment - 1e-9) for moment in (0.5, 1.0, 1.5, 2.0)] == [50, 200, 250, 400]
    assert waves.rate == 200.0
