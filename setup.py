"""Compile the extensions; everything else stands in pyproject.toml.

Each extension is optional: without a compiler the install goes through and the pure twins serve.
`ONLY1MCP_PURE=1` leaves them out on purpose.
"""

import os

from setuptools import Extension, setup

MODULES = {
    "only1mcp._speedups.hash_ring_c": "only1mcp/_speedups/hash_ring_py.py",
    "only1mcp._speedups.gauge_c": "only1mcp/_speedups/gauge_py.py",
    "only1mcp._speedups.lru_c": "only1mcp/_speedups/lru_py.py",
    "only1mcp._speedups.balancer_c": "only1mcp/_speedups/balancer_py.py",
    "only1mcp._speedups.words_c": "only1mcp/_speedups/words_c.pyx",
    "only1mcp._speedups.choice_c": "only1mcp/_speedups/choice_c.pyx",
    "only1mcp._speedups.http1_c": "only1mcp/_speedups/http1_c.pyx",
    "only1mcp._speedups.json_members_c": "only1mcp/_speedups/json_members_c.pyx",
    "only1mcp._speedups.json_scan_c": "only1mcp/_speedups/json_scan_c.pyx",
    "only1mcp._speedups.cells_c": "only1mcp/_speedups/cells_c.pyx",
    "only1mcp._speedups.across_c": "only1mcp/_speedups/across_c.pyx",
    "only1mcp._speedups.call_c": "only1mcp/_speedups/call_c.pyx",
    "only1mcp._speedups.pool_c": "only1mcp/_speedups/pool_c.pyx",
    "only1mcp._speedups.upstream_c": "only1mcp/_speedups/upstream_c.pyx",
    "only1mcp._speedups.refusal_c": "only1mcp/_speedups/refusal_c.pyx",
    "only1mcp._speedups.way_c": "only1mcp/_speedups/way_c.pyx",
    "only1mcp._speedups.frames_c": "only1mcp/_speedups/frames_c.pyx",
    "only1mcp._speedups.host_line_c": "only1mcp/_speedups/host_line_c.pyx",
    "only1mcp._speedups.forwarder_c": "only1mcp/_speedups/forwarder_c.pyx",
    "only1mcp._speedups.front_c": "only1mcp/_speedups/front_c.pyx",
    "only1mcp._speedups.kept_c": "only1mcp/_speedups/kept_c.pyx",
    "only1mcp._speedups.lane_c": "only1mcp/_speedups/lane_c.pyx",
}
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
}


def extensions():
    """Return the extension modules, marked optional after cythonize, which drops the mark."""
    if os.environ.get("ONLY1MCP_PURE") == "1":
        return []
    try:
        from Cython.Build import cythonize  # noqa: PLC0415 - absent where only the pure twins are wanted
    except ImportError:
        return []
    sources = [
        Extension(name, [path], extra_compile_args=["-O2", "-g0"]) for name, path in MODULES.items()
    ]
    modules = cythonize(sources, compiler_directives=DIRECTIVES, nthreads=2)
    for module in modules:
        module.optional = True
    return modules


# One after the other they take a minute, most of what a first start waits for.
setup(ext_modules=extensions(), options={"build_ext": {"parallel": os.cpu_count()}})
