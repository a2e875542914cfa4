"""What the processes run on: frozen, made of plain types, free of pydantic."""

from dataclasses import asdict, dataclass
from typing import Any

from only1mcp.ingress.limits import Limits
from only1mcp.registry.server import Server


@dataclass(frozen=True, slots=True)
class Settings:
    """One valid configuration, all defaults filled in."""

    host: str
    port: int
    workers: int
    shutdown_timeout_s: float
    limits: Limits
    virtual_nodes: int
    page_size: int
    log_level: str
    log_format: str
    allowed_hosts: tuple[str, ...]
    """Values of the Host header that are served besides the loopback names."""
    allowed_origins: tuple[str, ...]
    """Web origins that are served besides our own."""
    servers: tuple[Server, ...]
    websocket: bool = False
    """Whether /ws is open."""
    sse: bool = False
    """Whether /sse and /messages are open."""
    source: str = ""
    """The file it came from; empty for the demonstration."""
    demo: bool = False
    """Whether the bundled servers run."""

    def to_plain(self) -> dict[str, Any]:
        """Give the settings a form that JSON can carry between processes."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Settings":
        """Undo `to_plain` after a trip through JSON."""
        return cls(
            **{
                **plain,
                "limits": Limits(**plain["limits"]),
                "allowed_hosts": tuple(plain["allowed_hosts"]),
                "allowed_origins": tuple(plain["allowed_origins"]),
                "servers": tuple(Server.from_plain(server) for server in plain["servers"]),
            }
        )
