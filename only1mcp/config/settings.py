"""What the processes run on: frozen, made of plain types, free of pydantic."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from only1mcp.auth.principal import ANONYMOUS, Key
from only1mcp.ingress.limits import Limits
from only1mcp.registry.server import CacheLimits, Server
from only1mcp.resilience.limiter import Rate


@dataclass(frozen=True, slots=True)
class Settings:
    """One valid configuration, all defaults filled in."""

    host: str
    port: int
    workers: int
    shutdown_timeout_s: float
    limits: Limits
    page_size: int
    log_level: str
    log_format: str
    allowed_hosts: tuple[str, ...]
    """Values of the Host header that are served besides the loopback names."""
    allowed_origins: tuple[str, ...]
    """Web origins that are served besides our own."""
    servers: tuple[Server, ...]
    disabled: tuple[tuple[str, str], ...] = ()
    """Ids and transports of those that are declared, and are not served."""
    keys: tuple[Key, ...] = ()
    """Who may call; none where anyone may."""
    rate: Rate | None = None
    """Of those who have none of their own."""
    cache: CacheLimits | None = None
    """None where no answer is kept."""
    websocket: bool = False
    """Whether /ws is open."""
    sse: bool = False
    """Whether /sse and /messages are open."""
    source: str = ""
    """The file it came from; empty for the demonstration."""
    demo: bool = False
    """Whether the bundled servers run."""
    number: int = 1
    """Grows with every reload that changed something."""
    slots: tuple[str, ...] = ()
    """Ids of servers by their slots in shared memory; those that were removed keep theirs."""
    client_slots: tuple[str, ...] = ()
    """The same of principals, whose slots begin with the second."""

    @property
    def slot_of(self) -> dict[str, int]:
        """The slots of the servers that are configured."""
        known = self.slots or [server.id for server in self.servers]
        places = {server_id: slot for slot, server_id in enumerate(known)}
        return {server.id: places[server.id] for server in self.servers}

    def following(
        self, before: "Settings | None", known_clients: tuple[str, ...] = ()
    ) -> "Settings":
        """Number these settings, and give each server a slot; it keeps one that it had before.

        So does each principal, also one that it had with the program before ours.
        """
        known = before.slots if before is not None else ()
        new = [server.id for server in self.servers if server.id not in known]
        clients = before.client_slots if before is not None else known_clients
        others = [key.id for key in self.keys if key.id not in clients]
        number = before.number + 1 if before is not None else 1
        return replace(self, number=number, slots=(*known, *new), client_slots=(*clients, *others))

    @property
    def client_places(self) -> dict[str, int]:
        """Where in shared memory each principal is counted; the first place is anyone's."""
        known = self.client_slots or [key.id for key in self.keys]
        places = {client_id: slot for slot, client_id in enumerate(known, 1)}
        return {key.id: places[key.id] for key in self.keys}

    @property
    def client_ids(self) -> tuple[str, ...]:
        """What metrics call those who are counted apart, by place; nothing for who is no more."""
        places = self.client_places
        names = {slot: client_id for client_id, slot in places.items()} or {0: ANONYMOUS}
        return tuple(names.get(slot, "") for slot in range(max(names) + 1))

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
                "slots": tuple(plain["slots"]),
                "client_slots": tuple(plain["client_slots"]),
                "keys": tuple(_key(key) for key in plain["keys"]),
                "rate": _rate(plain["rate"]),
                "cache": None if plain["cache"] is None else CacheLimits(**plain["cache"]),
                "servers": tuple(Server.from_plain(server) for server in plain["servers"]),
                "disabled": tuple((one, transport) for one, transport in plain["disabled"]),
            }
        )

    @property
    def plain_disabled(self) -> list[dict[str, str]]:
        """The servers that are not served, as lists of servers show them."""
        return [
            {"id": one, "transport": transport, "state": "disabled", "detail": ""}
            for one, transport in self.disabled
        ]


def _key(plain: dict[str, Any]) -> Key:
    patterns = {name: tuple(plain[name]) for name in ("servers", "tools")}
    return Key(**{**plain, **patterns, "rate": _rate(plain["rate"])})


def _rate(plain: dict[str, Any] | None) -> Rate | None:
    return None if plain is None else Rate(**plain)
