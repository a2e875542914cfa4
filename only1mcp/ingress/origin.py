"""May this Host and Origin speak to us? The defence against DNS rebinding and foreign web pages.

Source: 2026-07-28 and 2025-11-25, basic/transports (Security Warning).
"""

import re
from collections.abc import Iterable

from only1mcp.errors import Forbidden

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:@/?#\[\]]+)(?::[0-9]{1,5})?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class MisdirectedHost(Forbidden):
    """The Host header names somebody else."""

    http_status = 421
    reason = "misdirected_host"


class OriginCheck:
    """Knows the hosts by which we may be called and the web origins that may call."""

    def __init__(self, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self.follow(hosts, origins)

    def follow(self, hosts: Iterable[str], origins: Iterable[str]) -> None:
        """Go by these from now on."""
        self._hosts = {*_LOOPBACK, *(bracketed(host.lower()) for host in hosts)}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    def check(self, host: str, origin: str | None) -> None:
        """Let the request pass.

        Raises:
            MisdirectedHost: the Host header is not one of ours.
            Forbidden: a web page of another origin sent the request.
        """
        if _hostname(host) not in self._hosts:
            raise MisdirectedHost(
                f"this gateway is not {host[:100]!r}", hint="add it to proxy.allowed_hosts"
            )
        self.check_origin(origin)

    def check_origin(self, origin: str | None) -> None:
        """Let the request pass, whatever host it names.

        Raises:
            Forbidden: a web page of another origin sent the request.
        """
        if origin is None or self.allows(origin):
            return
        scheme, _, authority = origin.partition("://")
        if scheme.lower() in ("http", "https") and _hostname(authority) in self._hosts:
            return
        raise Forbidden(
            f"web origin {origin[:100]!r} may not call", hint="add it to proxy.allowed_origins"
        )

    def allows(self, origin: str) -> bool:
        """Say whether a web origin is one of those that configuration allows."""
        return origin.lower() in self._origins


def bracketed(host: str) -> str:
    """Write a host as a URL does: an IPv6 address stands in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _hostname(authority: str) -> str | None:
    """Return the host of `host:port`, an IPv6 address in its brackets; None of anything else."""
    match = _AUTHORITY.fullmatch(authority.lower())
    return match.group(1) if match is not None else None
