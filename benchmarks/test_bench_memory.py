"""The memory of the whole gateway keeps within bounds, whatever else the machine does."""

import pytest

from loadtests.memory import alone, backends, call, tree
from only1mcp import _speedups
from tests.support.gateway import Gateway

MOST_MIB = 86
"""Measured: 75, after 100,000 calls; see docs/adr/0012. Another Python takes some more."""
CALLS = 4000


@pytest.mark.gate
@pytest.mark.skipif(not _speedups.COMPILED, reason="as it is when installed")
def test_the_gateway_stays_small() -> None:
    """With ten servers and one worker, after calls of both eras; every process counts."""
    with backends(10) as ports:
        servers = [
            {"id": f"s{number}", "url": f"http://127.0.0.1:{port}/mcp"}
            for number, port in enumerate(ports)
        ]
        with Gateway({"servers": servers}, workers=1) as gateway:
            call(gateway, CALLS, rate=1000.0)
            held = tree(gateway)
    assert {one.role for one in held} == {"supervisor", "control", "host", "worker"}
    assert alone(held) < MOST_MIB * 1024
