"""The configuration of the demonstration: three bundled servers over real transports."""

import sys
from dataclasses import replace

from only1mcp.config.settings import Settings
from only1mcp.registry.server import Instance, Server


def with_demo(settings: Settings, calc_port: int) -> Settings:
    """Return the settings with the bundled servers in place of any other."""
    bundled = tuple(
        Server(
            id=f"demo-{name}", transport="stdio", prefix=f"demo-{name}",
            command=sys.executable, args=("-P", "-m", "only1mcp.demo", name),
        )
        for name in ("time", "files")
    )  # fmt: skip
    calc = Server(
        id="demo-calc", transport="http", prefix="demo-calc",
        instances=(Instance(f"http://127.0.0.1:{calc_port}/mcp"),),
    )  # fmt: skip
    return replace(settings, servers=(*bundled, calc), demo=True, source="")
