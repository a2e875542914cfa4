"""What the fast lane stands among in its worker."""

from collections.abc import Callable
from dataclasses import dataclass

from only1mcp.ingress.guard import Connections, Guard
from only1mcp.ingress.limits import Limits
from only1mcp.ingress.origin import OriginCheck
from only1mcp.ingress.pages import Pages
from only1mcp.proxy.journey import Outcome
from only1mcp.proxy.parts import Parts
from only1mcp.proxy.pipeline import Pipeline
from only1mcp.tasks import Tasks
from only1mcp.worker.shedding import Shedding


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts of the worker that it leads to."""

    parts: Parts
    pipeline: Pipeline
    origins: OriginCheck
    limits: Limits
    connections: Connections
    make_guard: Callable[[], Guard]
    tasks: Tasks
    shedding: Shedding
    log: Callable[[Outcome], None]
    """Takes the end of a request that was counted already."""
    pages: Pages
    """What is read without a session, and without credentials where that is allowed."""
