"""The chooser takes the twins it was told to take."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from only1mcp import _speedups

FOLDER = Path(_speedups.__file__).parent


def test_compiled_twins_are_really_compiled() -> None:
    """A broken build must not hide behind the pure twins."""
    if os.environ.get("ONLY1MCP_PURE") == "1":
        pytest.skip("the pure twins were asked for")
    if not list(FOLDER.glob("json_scan_c.*.so")):
        pytest.skip("built without a compiler")
    assert _speedups.COMPILED
    assert type(_speedups.scan).__name__ == "cython_function_or_method"


def test_the_switch_selects_the_pure_twins() -> None:
    """`ONLY1MCP_PURE=1` works at run time."""
    code = "from only1mcp import _speedups; print(_speedups.ACCEL)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ONLY1MCP_PURE": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "pure"
