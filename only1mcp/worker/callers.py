"""Who calls, as the compiled part of the fast lane knows them: one object for each principal."""

from typing import Any

from only1mcp._speedups import Caller
from only1mcp.auth.access import Access
from only1mcp.auth.grant import Grant
from only1mcp.auth.principal import Principal
from only1mcp.errors import Unauthenticated
from only1mcp.process.context import Shared
from only1mcp.proxy.cache_keys import caller_part
from only1mcp.routing.load_balancer import place_of_principal


class Callers:
    """The callers of one worker."""

    def __init__(self, access: Access, shared: Shared) -> None:
        self._access = access
        self._shared = shared
        self._known: dict[str, Any] = {}
        self._scopes: dict[Grant, int] = {}

    def forget(self) -> None:
        """Look at everybody again: other keys are in force."""
        self._known.clear()

    def anyone(self) -> Any:
        """Return who calls where nobody needs credentials; None where they do."""
        return self._of(self._access.anyone) if self._access.is_open else None

    def owner(self, header: bytes) -> Any:
        """Return who sends this Authorization header; None for nobody that we know."""
        try:
            return self._of(self._access.admit([header.decode("latin-1")]))
        except Unauthenticated:
            return None

    def _of(self, principal: Principal) -> Any:
        found = self._known.get(principal.id)
        if found is None:
            shared, rate = self._shared, principal.rate
            bucket = rate and (principal.number, rate.interval_ns, rate.capacity_ns)
            found = self._known[principal.id] = Caller(
                principal, self._scopes.setdefault(principal.grant, len(self._scopes)),
                place_of_principal(principal.id),
                shared.metrics_plan.client(principal.number), shared.memory.cells, bucket,
                caller_part(principal.id),
            )  # fmt: skip
        return found
