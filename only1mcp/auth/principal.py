"""Who calls: the owner of a key, or anyone where no keys are configured."""

from dataclasses import dataclass, field

from only1mcp.auth.grant import EVERYTHING, Grant
from only1mcp.resilience.limiter import Rate


@dataclass(frozen=True, slots=True)
class Principal:
    """One caller, as all parts of a request's way know it."""

    id: str
    """Stands in logs, metrics, sessions and tasks; empty for anyone."""
    number: int = 0
    """Its place in shared memory, among those that are counted apart from each other."""
    grant: Grant = EVERYTHING
    rate: Rate | None = None
    """None for as much as it likes."""
    is_admin: bool = False
    """Whether it may read about the gateway itself."""


ANYONE = Principal("")
"""Who calls a gateway that asks for no credentials."""
ANONYMOUS = "anonymous"
"""What metrics call anyone."""


@dataclass(frozen=True, slots=True)
class Key:
    """A static key, as configuration declares it: all but the key itself."""

    id: str
    digest: str = field(repr=False)
    """SHA-256 of the key, in hexadecimal."""
    servers: tuple[str, ...] = ("*",)
    tools: tuple[str, ...] = ("*",)
    rate: Rate | None = None
    is_admin: bool = False
