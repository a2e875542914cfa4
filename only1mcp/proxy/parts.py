"""What the stages of a worker's pipeline are wired to."""

from collections.abc import Callable
from dataclasses import dataclass

from only1mcp.auth.access import Access
from only1mcp.memory.session_marks import SessionMarks
from only1mcp.proxy.audience import Audience
from only1mcp.proxy.cache import ResponseCache
from only1mcp.proxy.call import Means
from only1mcp.proxy.journey import Outcome
from only1mcp.proxy.learning import Learning
from only1mcp.proxy.peers import Peers
from only1mcp.registry.edition import Edition
from only1mcp.resilience.limiter import Limiter
from only1mcp.sessions.session import SessionSealer


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks of a worker, as functions."""

    monotonic: Callable[[], float]
    wall: Callable[[], int]
    """Whole seconds since 1970."""


def _unnoticed(serial: int) -> None:
    """Have nobody learn which sessions are in use."""


@dataclass(slots=True)
class Parts:
    """What all stages share."""

    edition: Edition
    learning: Learning
    means: Means
    """Swapped whole by a reload; a call keeps those that it began with."""
    audience: Audience
    peers: Peers
    sealer: SessionSealer
    is_ended: Callable[[int], bool]
    """Whether a session serial was ended before its time."""
    marks: SessionMarks
    on_roots_changed: Callable[[int], None]
    """Takes the serial of a session whose client has other roots now."""
    on_level: Callable[[int], None]
    """Learns from which severity on a client wants log messages of no call of its own."""
    record: Callable[[Outcome], None]
    """Takes the end of every request."""
    clock: Clock
    access: Access
    limiter: Limiter
    cache: ResponseCache | None = None
    """None where no answers are kept, whatever settings say."""
    on_seen: Callable[[int], None] = _unnoticed
    """Takes the serial of each legacy session of which a request comes."""
