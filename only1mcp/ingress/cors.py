"""What a browser is told before a page of another origin may call: CORS (Fetch, section 3.3).

It is granted to `proxy.allowed_origins` and nobody else, and without the browser's own credentials:
we know no cookies.
"""

import re
from collections.abc import Iterable

from aiohttp import web

GRANTED = web.RequestKey("granted", dict[str, str])
"""The headers that every answer to an allowed origin bears."""
MAX_AGE_S = 600
_SENT = (
    "Accept", "Authorization", "Content-Type", "Last-Event-ID", "MCP-Protocol-Version",
    "Mcp-Method", "Mcp-Name", "Mcp-Session-Id",
)  # fmt: skip
_PARAM = re.compile(r"mcp-param-[a-z0-9!#$%&'*+.^_`|~-]+")


def granted(origin: str) -> dict[str, str]:
    """Return what lets a page of this origin read an answer."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "Mcp-Session-Id",
        "Vary": "Origin",
    }


def allowed(methods: Iterable[str], asked: str) -> dict[str, str]:
    """Return what a page may send, in answer to a preflight.

    Args:
        methods: what the path knows.
        asked: the headers that the page wants to send. Those that repeat a tool's arguments have
            names of their own, so they are let through by name.
    """
    names = (name.strip().lower() for name in asked.split(","))
    params = [name for name in names if _PARAM.fullmatch(name)]
    return {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": ", ".join([*_SENT, *params]),
        "Access-Control-Max-Age": str(MAX_AGE_S),
    }
