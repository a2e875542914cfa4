"""One declared MCP server, as configuration describes it."""

import re
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Instance:
    """One address at which a server answers over HTTP, or one process of a program."""

    url: str
    """Its address; the number of a process, from 1 on."""
    weight: int = 1
    region: str = ""


@dataclass(frozen=True, slots=True)
class Routing:
    """How the instances of a server share its calls."""

    algorithm: str = "least_connections"
    virtual_nodes: int = 150
    hash_key: str = "tool"
    """What places a call with consistent_hash: session, principal, tool or arguments."""
    hash_arguments: tuple[str, ...] = ()
    """The arguments that place it; empty for all of them."""
    spare_percent: int = 25
    """How much more than its share an instance gets before the next one takes over; 0: any."""
    sticky: bool = True
    """Whether the calls of a legacy session go to one instance."""
    region: str = ""
    """Where we are ourselves: instances there come first."""
    adjusts: bool = False
    """Whether instances that are slow or fail get less than their weight."""
    panic_percent: int = 0
    """When fewer of the instances are up, calls go to all of them."""

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Routing":
        """Undo what JSON did on the way between processes."""
        return cls(**{**plain, "hash_arguments": tuple(plain["hash_arguments"])})


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When the circuit breaker of an instance opens and closes."""

    failures: int = 5
    """So many in a row open it."""
    successes: int = 3
    """So many close it; while it is half open no more calls than that are let through."""
    timeout_ms: int = 30_000
    """How long it is open before it lets some through."""
    heeds_checks: bool = True
    """Whether it lets some through earlier when a health check goes well."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Which answers of a server may be given again, and for how long."""

    tools: tuple[tuple[str, float], ...] = ()
    """Name or pattern, and seconds; nought for never."""
    default_s: float = 0.0
    """For tools that say they only read."""
    resources: bool = True
    """Whether what it says of its resources is believed."""

    def tool_s(self, name: str, *, only_reads: bool) -> float:
        """Return how many seconds the answers of a tool are good; nought for not at all."""
        exact = dict(self.tools).get(name)
        if exact is not None:
            return exact
        for pattern, seconds in self.tools:
            if re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL):
                return seconds
        return self.default_s if only_reads else 0.0


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """What one worker keeps of answers."""

    max_bytes: int
    max_ttl_s: float


@dataclass(frozen=True, slots=True)
class Batching:
    """How calls to a server travel together."""

    window_s: float = 0.1
    """How long the first of them waits for others."""
    most: int = 100
    any_revision: bool = False
    """Whether the server takes batches whatever revision it speaks."""


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
    routing: Routing = Routing()
    breaker: BreakerPolicy = BreakerPolicy()
    timeout_s: float = 30.0
    handshake_timeout_s: float = 5.0
    check_interval_s: float = 10.0
    check_timeout_s: float = 5.0
    check_successes: int = 2
    """How many must go well before an instance that was down is up."""
    check_failures: int = 3
    """How many checks in a row must fail before the server is down."""
    kept: Kept = Kept()
    batching: Batching | None = None
    """None where each call travels alone."""
    replicas: int = 1
    """How many processes of a program share its calls."""

    def is_like(self, other: "Server") -> bool:
        """Say whether the other is the same program or address, spoken to in the same way."""
        return other == replace(
            self, prefix=other.prefix, routing=other.routing, breaker=other.breaker,
            batching=other.batching, timeout_s=other.timeout_s,
            check_interval_s=other.check_interval_s, kept=other.kept,
            replicas=other.replicas,
        )  # fmt: skip

    @property
    def places(self) -> tuple[Instance, ...]:
        """What its calls are shared out among."""
        return self.instances or tuple(Instance(str(n)) for n in range(1, self.replicas + 1))

    @property
    def is_shared_out(self) -> bool:
        """Whether its instances are reckoned with one by one."""
        return self.transport == "http" or self.replicas > 1

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Server":
        """Undo what JSON did to a server on its way between processes."""
        instances = tuple(Instance(**item) for item in plain["instances"])
        pairs = {key: tuple((k, v) for k, v in plain[key]) for key in ("env", "headers")}
        routing = Routing.from_plain(plain["routing"])
        tools = tuple((name, seconds) for name, seconds in plain["kept"]["tools"])
        batching = plain["batching"]
        return cls(
            **{
                **plain, **pairs, "args": tuple(plain["args"]), "instances": instances,
                "routing": routing, "breaker": BreakerPolicy(**plain["breaker"]),
                "kept": Kept(**{**plain["kept"], "tools": tools}),
                "batching": None if batching is None else Batching(**batching),
            }
        )  # fmt: skip


def without_credentials(url: str) -> str:
    """Return an address without the credentials that may stand in it."""
    scheme, slashes, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
