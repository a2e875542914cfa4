"""The twins of one module, as parameters; the compiled one only where it was built."""

from types import SimpleNamespace
from typing import Any

import pytest

from only1mcp import _speedups
from only1mcp._speedups import balancer_py, cells_py, gauge_py, hash_ring_py, json_scan_py, lru_py


def _balancer(balancer: Any, gauge: Any, ring: Any, *, is_compiled: bool) -> SimpleNamespace:
    """Put together what chooses and what it chooses by."""
    return SimpleNamespace(
        Balancer=balancer.Balancer, Gauge=gauge.Gauge, HashRing=ring.HashRing,
        is_compiled=is_compiled,
    )  # fmt: skip


HASH_RINGS: list[Any] = [pytest.param(hash_ring_py, id="pure")]
JSON_SCANS: list[Any] = [pytest.param(json_scan_py, id="pure")]
LRUS: list[Any] = [pytest.param(lru_py, id="pure")]
CELLS: list[Any] = [pytest.param(cells_py, id="pure")]
BALANCERS: list[Any] = [
    pytest.param(_balancer(balancer_py, gauge_py, hash_ring_py, is_compiled=False), id="pure")
]
if _speedups.COMPILED:
    from only1mcp._speedups import (  # type: ignore[attr-defined]
        balancer_c,
        cells_c,
        gauge_c,
        hash_ring_c,
        json_scan_c,
        lru_c,
    )

    HASH_RINGS.append(pytest.param(hash_ring_c, id="compiled"))
    JSON_SCANS.append(pytest.param(json_scan_c, id="compiled"))
    LRUS.append(pytest.param(lru_c, id="compiled"))
    CELLS.append(pytest.param(cells_c, id="compiled"))
    BALANCERS.append(
        pytest.param(_balancer(balancer_c, gauge_c, hash_ring_c, is_compiled=True), id="compiled")
    )


def is_compiled(twin: Any) -> bool:
    """Say which of the two it is."""
    return str(twin.__name__).endswith("_c")
