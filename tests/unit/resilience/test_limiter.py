"""Rates: what is admitted, when the next may come, and what a refusal says."""

from array import array

import pytest

from only1mcp._speedups import Cells
from only1mcp.errors import RateLimited
from only1mcp.resilience.limiter import Limiter, Rate
from tests.support.lock_file import LOCK_FILE


class Meter:
    """A limiter with a bucket of its own, in which time passes as the test says."""

    def __init__(self, rate: Rate) -> None:
        self.now_s = 1000.0
        self.exceeded: list[int] = []
        self._rate = rate
        cells = Cells(memoryview(array("Q", [0, 0])), LOCK_FILE)
        self._limiter = Limiter(cells.take, self.exceeded.append)

    def admitted(self, tries: int, number: int = 0) -> int:
        """Try so often; return how often it went well."""
        return sum(self._try(number) for _ in range(tries))

    def _try(self, number: int) -> bool:
        try:
            self._limiter.charge(number, self._rate, self.now_s)
        except RateLimited:
            return False
        return True


def test_as_many_as_the_burst_come_at_once_and_not_one_more() -> None:
    """Sixty a minute are sixty at once, if nobody came before."""
    meter = Meter(Rate(60, 60.0, 60))
    assert meter.admitted(200) == 60
    assert meter.exceeded == [0] * 140


@pytest.mark.parametrize(("burst", "after_s", "more"), [(60, 0.999, 0), (60, 1.0, 1),
    (60, 30.0, 30), (60, 3600.0, 60), (10, 3600.0, 10), (1, 2.0, 1)])  # fmt: skip
def test_the_bucket_fills_evenly_up_to_its_size(burst: int, after_s: float, more: int) -> None:
    """One token for each second of a rate of sixty a minute."""
    meter = Meter(Rate(60, 60.0, burst))
    assert meter.admitted(100) == burst
    meter.now_s += after_s
    assert meter.admitted(100) == more


def test_no_period_ever_sees_more_than_a_burst_and_what_came_in_it() -> None:
    """Also where the time of a token is no whole number."""
    meter = Meter(Rate(7, 1.0, 3))
    total = 0
    for _ in range(10_000):
        meter.now_s += 0.001
        total += meter.admitted(2)
    assert 70 <= total <= 73


def test_each_bucket_is_on_its_own() -> None:
    """Who asks too much costs nobody else."""
    meter = Meter(Rate(2, 60.0, 2))
    assert meter.admitted(5, number=0) == 2
    assert meter.admitted(5, number=1) == 2


def test_a_refusal_says_what_the_rate_is_and_when_to_come_back_and_then_one_is_admitted() -> None:
    """In the header, and in the error for those who read no headers; the burst may be the cause."""
    rate = Rate(2, 60.0, 1)
    meter = Meter(rate)
    assert meter.admitted(2) == 1
    with pytest.raises(RateLimited) as caught:
        meter._limiter.charge(0, rate, meter.now_s)
    assert caught.value.headers == (("Retry-After", "30"),)
    assert caught.value.data == {"retryAfter": 30}
    said = "beyond the rate of 2 requests in 60 s, of which 1 may come at once"
    assert (str(caught.value), caught.value.hint) == (said, "try again in 30 s")
    meter.now_s += 30
    assert meter.admitted(2) == 1


def test_a_cell_that_is_not_there_is_an_error() -> None:
    """Never memory of something else."""
    cells = Cells(memoryview(array("Q", [0])), LOCK_FILE)
    for cell in (-1, 1, 10**9):
        with pytest.raises(IndexError):
            cells.take(cell, 1, 1, 1)
