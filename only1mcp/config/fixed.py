"""What a running gateway cannot change: a reload that asks for it is refused by name."""

from collections.abc import Iterator
from dataclasses import fields, replace

from only1mcp.config.problems import NOWHERE, Problem
from only1mcp.config.settings import Settings
from only1mcp.ingress.limits import Limits

FIXED = {
    "host": "proxy.host", "port": "proxy.port",
    "limits": "proxy.limits", "websocket": "proxy.listen.websocket", "sse": "proxy.listen.sse",
    "demo": "servers",
}  # fmt: skip
"""Members of the settings, and the keys that they come from."""
ANEW = "stop the gateway and start it anew"
"""Not `only1mcp restart`, which replaces the workers and leaves these as they are."""


def fixed_problems(old: Settings, new: Settings) -> list[Problem]:
    """Return what is asked for that only a new start can change."""
    return [
        Problem(
            new.source or "environment", NOWHERE, key,
            f"cannot change while the gateway runs ({_said(before)} to {_said(after)})", ANEW,
        )
        for name, key in FIXED.items()
        for key, before, after in _members(key, getattr(old, name), getattr(new, name))
        if before != after
    ]  # fmt: skip


def with_port_kept(old: Settings, new: Settings) -> Settings:
    """Take port 0 for the one that was chosen at the start."""
    return replace(new, port=new.port or old.port)


def _members(key: str, before: object, after: object) -> Iterator[tuple[str, object, object]]:
    """Give each limit its own key, as it stands in the file; all else has one."""
    if not (isinstance(before, Limits) and isinstance(after, Limits)):
        yield key, before, after
        return
    for field in fields(Limits):
        values = (getattr(limits, field.name) for limits in (before, after))
        name = field.name.removesuffix("_s")
        if name != field.name:
            values = (f"{value:g}s" for value in values)
        yield f"{key}.{name}", *values


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
