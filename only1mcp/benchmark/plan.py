"""What is to be sent, where, how often and how long; and the refusal to send it elsewhere."""

import ipaddress
import json
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

MODERN, LEGACY = "modern", "legacy"


class CannotMeasure(Exception):
    """There is nothing that could be measured; says why and what to do."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Args:
        url: the endpoint, on this machine.
        tool: what is called; None asks for the list of tools instead.
        arguments: the tool's. `{nonce}` within a text becomes another word in each call, the text
            `{number}` another number; the answer must then contain it.
        rate: calls a second.
        duration_s: for how long calls are sent.
        connections: opened before the first call.
        max_connections: how many there may be when all are busy.
        timeout_s: after which a call has failed.
        era: `modern` or `legacy`.
        key: sent with every request; None for none.
    """

    url: str
    tool: str | None = None
    arguments: str = "{}"
    rate: float = 1000.0
    duration_s: float = 10.0
    connections: int = 32
    max_connections: int = 1024
    timeout_s: float = 10.0
    era: str = MODERN
    key: str | None = field(default=None, repr=False)

    @property
    def calls(self) -> int:
        """How many calls that makes."""
        return max(round(self.rate * self.duration_s), 1)

    @property
    def parsed_arguments(self) -> dict[str, Any]:
        """The arguments as an object."""
        parsed: dict[str, Any] = json.loads(self.arguments)
        return parsed


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint as it is reached: every address it has is one of this machine's own."""

    addresses: tuple[str, ...]
    port: int
    authority: str
    path: str
    key: str | None = field(default=None, repr=False)


def find_target(url: str, key: str | None = None) -> Target:
    """Look an endpoint up, which wants this key if any.

    Raises:
        CannotMeasure: it is no HTTP address, or one of another machine.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as error:
        raise CannotMeasure("BAD_URL", f"{url} is no address: {error}", _WRITTEN) from None
    if parts.scheme != "http" or not parts.hostname:
        raise CannotMeasure("BAD_URL", f"{url} is no address of plain HTTP", _WRITTEN)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise CannotMeasure(
            "BAD_URL", f"{parts.hostname} has no address: {error}", _WRITTEN
        ) from None
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not all(ipaddress.ip_address(address).is_loopback for address in addresses):
        raise CannotMeasure(
            "NOT_LOCAL",
            f"{parts.hostname} is not this machine, and load is only sent to this machine itself",
            "run it where the gateway runs, with http://127.0.0.1:PORT/mcp",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(addresses, port, parts.netloc.rpartition("@")[2], path, key)


_WRITTEN = "write it as http://127.0.0.1:8080/mcp"
