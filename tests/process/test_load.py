"""The short form of `make load`: no answer is lost or mistaken, with the gateway or without."""

import json

import pytest

from loadtests.run import Line, open_loop, show


@pytest.mark.parametrize("workers", [1, 2])
def test_no_call_fails_at_a_fixed_rate(workers: int) -> None:
    """Every answer has the id and the nonce of its call."""
    direct, through = open_loop(200, 1.0, workers=workers, rounds=2)
    for row in (direct, through):
        assert (row.calls, row.failures) == (200, {})
        assert 0 < row.p50_ms <= row.p99_ms


def test_the_table_says_what_failed_and_what_the_gateway_adds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A person sees both at once."""
    show([
        Line("x: direct", 10, {}, 5, 5, 1.0, 2.0),
        Line("x: gateway", 9, {"HTTP 503": 1}, 5, 4, 1.5, 4.0, {"HTTP 503": json.dumps("busy")}),
    ])  # fmt: skip
    printed = capsys.readouterr().out
    assert "x: gateway adds 0.500 ms at p50, 2.000 ms at p99" in printed
    assert 'FAILED x: gateway: 1 x HTTP 503 "busy"' in printed
