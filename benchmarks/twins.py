"""The twins of one module, as parameters; the compiled one only where it was built."""

from typing import Any

import pytest

from only1mcp import _speedups
from only1mcp._speedups import hash_ring_py, json_scan_py

HASH_RINGS: list[Any] = [pytest.param(hash_ring_py, id="pure")]
JSON_SCANS: list[Any] = [pytest.param(json_scan_py, id="pure")]
if _speedups.COMPILED:
    from only1mcp._speedups import hash_ring_c, json_scan_c  # type: ignore[attr-defined]

    HASH_RINGS.append(pytest.param(hash_ring_c, id="compiled"))
    JSON_SCANS.append(pytest.param(json_scan_c, id="compiled"))


def is_compiled(twin: Any) -> bool:
    """Say which of the two it is."""
    return str(twin.__name__).endswith("_c")
