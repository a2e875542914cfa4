"""What GET and HEAD read under any host: whether the worker lives, and how it fares."""

from dataclasses import dataclass

from only1mcp.ingress.service import Service
from only1mcp.ingress.shared_answer import SharedAnswer

PUBLIC = frozenset({"/health", "/livez", "/readyz"})
"""What needs no credentials."""
PATHS = PUBLIC | {"/metrics"}
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    status: int
    content_type: str
    body: bytes


class Pages:
    """Writes them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._exposition = SharedAnswer(service.metrics)
        self.draining = False
        """Set while the worker stops."""

    def at_once(self, path: str) -> Page | None:
        """Return what stands at one of `PATHS`; None if that is yet to be made."""
        if path == "/metrics":
            body = self._exposition.at_once()
            return None if body is None else _exposition(body)
        if path == "/health":
            status, body = self._service.health()
            return Page(status, "application/json", body)
        if path == "/livez" or (self._service.ready() and not self.draining):
            return Page(200, _TEXT, b"ok\n")
        return Page(503, _TEXT, b"draining\n" if self.draining else b"starting\n")

    async def read(self, path: str) -> Page:
        """Return what stands at one of `PATHS`."""
        return self.at_once(path) or _exposition(await self._exposition.get())


def _exposition(metrics: bytes) -> Page:
    return Page(200, "text/plain; version=0.0.4; charset=utf-8", metrics)
