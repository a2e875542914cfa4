"""What a running gateway cannot change: a reload that asks for it is refused by name."""

from dataclasses import replace

from only1mcp.config.problems import NOWHERE, Problem
from only1mcp.config.settings import Settings

FIXED = {
    "host": "proxy.host", "port": "proxy.port",
    "limits": "proxy.limits", "websocket": "proxy.listen.websocket", "sse": "proxy.listen.sse",
    "demo": "servers",
}  # fmt: skip
"""Members of the settings, and the keys that they come from."""
RESTART = "restart"


def fixed_problems(old: Settings, new: Settings) -> list[Problem]:
    """Return what is asked for that takes a restart."""
    return [
        Problem(
            new.source or "environment", NOWHERE, key,
            f"cannot change while the gateway runs ({_said(old, name)} to {_said(new, name)})",
            RESTART,
        )
        for name, key in FIXED.items() if getattr(old, name) != getattr(new, name)
    ]  # fmt: skip


def with_port_kept(old: Settings, new: Settings) -> Settings:
    """Take port 0 for the one that was chosen at the start."""
    return replace(new, port=new.port or old.port)


def _said(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return str(value).lower() if isinstance(value, bool) else str(value)
