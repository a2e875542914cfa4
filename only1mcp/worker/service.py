"""What the doors of a worker lead to: the pipeline, and what is told about the gateway."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import aiohttp
import orjson
from yarl import URL

from only1mcp.backends.call import Cancel
from only1mcp.config.settings import Settings
from only1mcp.errors import Only1MCPError
from only1mcp.memory.health_words import HealthWords
from only1mcp.observability.metrics import MetricsReader
from only1mcp.process.context import plan_of
from only1mcp.process.instances import NamedInstances
from only1mcp.proxy.exchange import Exchange, Request
from only1mcp.proxy.pipeline import Pipeline
from only1mcp.registry.edition import Edition
from only1mcp.sessions.session import Session
from only1mcp.worker.shedding import Shedding

_ADMIN_TIMEOUT_S = 5.0
_CHANGE_TIMEOUT_S = 30.0
"""A change is answered when it is in force."""
_log = logging.getLogger(__name__)


class ControlGone(Only1MCPError):
    """The control process does not answer; it is being replaced."""

    http_status = 503
    reason = "control_gone"


class WorkerService:
    """Implements `only1mcp.ingress.http_door.Service`."""

    def __init__(
        self, pipeline: Pipeline, on_ended: Callable[[Session], None], health: HealthWords,
        metrics: MetricsReader, instances: NamedInstances, edition: Edition, control_socket: Path,
    ) -> None:  # fmt: skip
        self._pipeline = pipeline
        self._on_ended = on_ended
        self._health = health
        self._metrics = metrics
        self._instances = instances
        self._edition = edition
        self._control_socket = control_socket
        self.shedding: Shedding | None = None
        """What refuses messages that there is no room for."""

    def follow(self, settings: Settings) -> None:
        """Speak of these servers from now on."""
        self._health.slots = list(settings.slot_of.values())
        self._metrics.follow(plan_of(settings))
        self._instances.servers = settings.servers

    def handle(self, request: Request, exchange: Exchange) -> Cancel:
        """Answer one MCP message."""
        if self.shedding is not None and self.shedding.takes(request, exchange):
            return _nothing
        return self._pipeline.handle(request, exchange)

    def stream(self, request: Request, exchange: Exchange) -> Cancel:
        """Open the stream of a legacy session, or resume one."""
        return self._pipeline.stream(request, exchange)

    def end_session(self, request: Request) -> None:
        """End the legacy session that the request names, in every worker."""
        self._on_ended(self._pipeline.admission.open_session(request))

    def health(self) -> tuple[int, bytes]:
        """Return the status and body of /health: 503 until a server is usable."""
        usable = self._health.usable()
        up, total = self._health.count()
        body = {
            "status": "ok" if usable else "unavailable",
            "servers": {"up": up, "total": total},
        }
        return 200 if usable else 503, orjson.dumps(body)

    def ready(self) -> bool:
        """Say whether requests can be served."""
        return self._edition.settled

    def metrics(self) -> bytes:
        """Return the exposition of all metrics."""
        return self._metrics.text()

    async def admin(self, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        """Ask the control process, which alone implements the admin API."""
        seconds = _ADMIN_TIMEOUT_S if method == "GET" else _CHANGE_TIMEOUT_S
        url = URL(f"http://control{path}", encoded=True)
        try:
            async with (
                asyncio.timeout(seconds),
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(str(self._control_socket))
                ) as client,
                client.request(method, url, data=body or None) as response,
            ):
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ControlGone(
                "the control process does not answer", hint="try again in a second"
            ) from error


def _nothing() -> None:
    """Cancel what has ended already."""
