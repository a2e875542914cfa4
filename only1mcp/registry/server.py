"""One declared MCP server, as configuration describes it."""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Instance:
    """One address at which a server answers over HTTP."""

    url: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Server:
    """A server's declaration; frozen, so that processes can share and compare it."""

    id: str
    transport: str
    """`stdio` or `http`."""
    prefix: str
    """What stands before its names; empty for none."""
    command: str = ""
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    cwd: str | None = None
    instances: tuple[Instance, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent with every request to the server; may hold secrets."""
    algorithm: str = "round_robin"
    timeout_s: float = 30.0
    handshake_timeout_s: float = 5.0
    check_interval_s: float = 10.0
    check_timeout_s: float = 5.0
    check_failures: int = 3
    """How many checks in a row must fail before the server is down."""

    def is_like(self, other: "Server") -> bool:
        """Say whether the other is the same program or address, spoken to in the same way."""
        return other == replace(
            self, prefix=other.prefix, algorithm=other.algorithm, timeout_s=other.timeout_s,
            check_interval_s=other.check_interval_s,
        )  # fmt: skip

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Server":
        """Undo what JSON did to a server on its way between processes."""
        instances = tuple(Instance(**item) for item in plain["instances"])
        pairs = {key: tuple((k, v) for k, v in plain[key]) for key in ("env", "headers")}
        return cls(**{**plain, **pairs, "args": tuple(plain["args"]), "instances": instances})
