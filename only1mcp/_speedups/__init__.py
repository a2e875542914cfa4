"""Code for the hot path, each module twice: compiled with Cython, and pure.

Pure: no IO, no clock, no logging. `COMPILED` says which twins serve; `ONLY1MCP_PURE=1` asks for the
pure ones. Nobody outside this package names a twin.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from only1mcp._speedups import (
    balancer_py,
    cells_py,
    gauge_py,
    hash_ring_py,
    json_scan_py,
    lru_py,
    words_py,
)

_WANT_PURE = os.environ.get("ONLY1MCP_PURE") == "1"
COMPILED = False
Lane: Any = None
"""The fast lane; None where everything goes through aiohttp and pure Python."""
Caller: Any = None
Plan: Any = None
Ready: Any = None
HostLine: Any = None
WorkerLine: Any = None
Forwarder: Any = None
"""The ends of the lane's link to the host; None likewise."""
Choice: Any = None
Keeping: Any = None
Across: Any = None
Refusal: Any = None

if TYPE_CHECKING or _WANT_PURE:
    _hash_ring, _json_scan, _cells = hash_ring_py, json_scan_py, cells_py
    _balancer, _gauge, _words, _lru = balancer_py, gauge_py, words_py, lru_py
else:
    try:
        from only1mcp._speedups import balancer_c as _balancer
        from only1mcp._speedups import cells_c as _cells
        from only1mcp._speedups import gauge_c as _gauge
        from only1mcp._speedups import hash_ring_c as _hash_ring
        from only1mcp._speedups import json_scan_c as _json_scan
        from only1mcp._speedups import lru_c as _lru
        from only1mcp._speedups import words_c as _words

        Across = importlib.import_module("only1mcp._speedups.across_c").Across
        Caller = importlib.import_module("only1mcp._speedups.call_c").Caller
        Plan = importlib.import_module("only1mcp._speedups.call_c").Plan
        Ready = importlib.import_module("only1mcp._speedups.call_c").Ready
        Choice = importlib.import_module("only1mcp._speedups.choice_c").Choice
        Keeping = importlib.import_module("only1mcp._speedups.kept_c").Keeping
        Refusal = importlib.import_module("only1mcp._speedups.refusal_c").Refusal
        Lane = importlib.import_module("only1mcp._speedups.lane_c").Lane
        HostLine = importlib.import_module("only1mcp._speedups.host_line_c").HostLine
        WorkerLine = importlib.import_module("only1mcp._speedups.forwarder_c").WorkerLine
        Forwarder = importlib.import_module("only1mcp._speedups.forwarder_c").Forwarder
        COMPILED = True
    except ImportError:
        _hash_ring, _json_scan, _cells = hash_ring_py, json_scan_py, cells_py
        _balancer, _gauge, _words, _lru = balancer_py, gauge_py, words_py, lru_py

ALGORITHMS = _balancer.ALGORITHMS
Balancer = _balancer.Balancer
Cells = _cells.Cells
Gauge = _gauge.Gauge
HashRing = _hash_ring.HashRing
Words = _words.Words
Entry = _lru.Entry
Lru = _lru.Lru
HITS, JOINED, MISSES, ENTRIES, BYTES = range(5)
SHELF = lru_py.SHELF
"""Words of a server's shelf in the cache, and how many there are."""
Envelope = _json_scan.Envelope
scan = _json_scan.scan
members = _json_scan.members
elements = _json_scan.elements
REQUEST, NOTIFICATION, RESPONSE, BATCH = 1, 2, 3, 4
ACCEL = "cython" if COMPILED else "pure"
