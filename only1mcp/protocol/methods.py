"""The method table: for each method of MCP, who answers it and which parameter names the target."""

from dataclasses import dataclass, replace
from enum import Enum

from only1mcp.protocol.versions import Era


class Kind(Enum):
    """How a method is answered."""

    LOCAL = "local"
    """By us alone."""
    LIST = "list"
    """From the catalogue merged over all backends."""
    TARGET = "target"
    """By the one backend that owns the target."""
    STREAM = "stream"
    """By a stream of what changes."""
    TASK = "task"
    """By the one backend whose task it is."""


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the table."""

    name: str
    kind: Kind
    eras: frozenset[Era]
    target: str | None = None
    """The parameter that names the target: `name`, `uri`, `ref` or `taskId`."""
    result_key: str | None = None
    """Where a list result holds its items."""
    safe: bool = True
    """Whether running it twice does no harm."""
    waits: bool = False
    """Whether its answer may take as long as it likes."""
    is_limited: bool = False
    """Whether it counts against its sender's rate: servers have work with it."""
    index: int = 0
    """The row's number, for metric slots."""


_BOTH = frozenset(Era)
_LEGACY = frozenset({Era.LEGACY})
_MODERN = frozenset({Era.MODERN})

_ROWS = [
    Method("initialize", Kind.LOCAL, _LEGACY),
    Method("ping", Kind.LOCAL, _LEGACY),
    Method("logging/setLevel", Kind.LOCAL, _LEGACY),
    Method("server/discover", Kind.LOCAL, _MODERN),
    Method("subscriptions/listen", Kind.STREAM, _MODERN),
    Method("tools/list", Kind.LIST, _BOTH, result_key="tools"),
    Method("resources/list", Kind.LIST, _BOTH, result_key="resources"),
    Method("resources/templates/list", Kind.LIST, _BOTH, result_key="resourceTemplates"),
    Method("prompts/list", Kind.LIST, _BOTH, result_key="prompts"),
    Method("tools/call", Kind.TARGET, _BOTH, target="name", safe=False, is_limited=True),
    Method("resources/read", Kind.TARGET, _BOTH, target="uri", is_limited=True),
    Method("prompts/get", Kind.TARGET, _BOTH, target="name", is_limited=True),
    Method("completion/complete", Kind.TARGET, _BOTH, target="ref", is_limited=True),
    Method("resources/subscribe", Kind.TARGET, _LEGACY, target="uri"),
    Method("resources/unsubscribe", Kind.TARGET, _LEGACY, target="uri"),
    Method("tasks/get", Kind.TASK, _BOTH, target="taskId"),
    Method("tasks/update", Kind.TASK, _MODERN, target="taskId", safe=False),
    Method("tasks/cancel", Kind.TASK, _BOTH, target="taskId", safe=False),
    Method("tasks/result", Kind.TASK, _LEGACY, target="taskId", safe=False, waits=True),
    Method("tasks/list", Kind.TASK, _LEGACY),
]
METHODS: dict[str, Method] = {
    row.name: replace(row, index=index) for index, row in enumerate(_ROWS)
}
OTHER_INDEX = len(METHODS)
"""The metric slot of everything that is not in the table."""
METHOD_LABELS = (*METHODS, "other")
