"""A pipeline over fake backends, and everything that comes out of it."""

import json
from collections.abc import Callable
from typing import Any

from only1mcp.backends.call import Cancel
from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.exchange import Answer, Request
from only1mcp.proxy.pipeline import Clock, Outcome, Parts, Pipeline
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.edition import Edition
from only1mcp.registry.registry import Registry
from only1mcp.sessions.session import SessionSealer
from tests.support.catalogues import server
from tests.support.fake_backend import FakeBackend
from tests.support.messages import legacy, modern, modern_headers


class Told:
    """An exchange that remembers what it is answered."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.cancel: Cancel = lambda: None

    def answer(self, answer: Answer) -> None:
        """Take the answer."""
        self.answers.append(answer)

    @property
    def only(self) -> Answer:
        """The one answer that came."""
        (answer,) = self.answers
        return answer

    @property
    def message(self) -> Any:
        """The one answer's body, parsed."""
        return json.loads(self.only.body)


class Desk:
    """Sends messages through the real pipeline; made on a running loop."""

    def __init__(
        self, *catalogues: Catalogue, settled: bool = True, timeout_s: float = 60.0,
        page_size: int = 1000,
    ) -> None:  # fmt: skip
        self.now = 1_000_000
        self.ended: set[int] = set()
        self.outcomes: list[Outcome] = []
        self.attempts: list[tuple[str, str]] = []
        ids = [one.server_id for one in catalogues]
        self.backends = {server_id: FakeBackend() for server_id in ids}
        self.sealer = SessionSealer(bytes(32))
        self.edition = Edition(Registry(map(server, ids)), page_size)
        for one in catalogues:
            if one.eras:
                self.edition.update(one)
        if settled:
            self.edition.settle()
        self._ticks = 0
        self.pipeline = Pipeline(
            Parts(
                edition=self.edition,
                backends=self.backends,
                timeouts_s=dict.fromkeys(ids, timeout_s),
                sealer=self.sealer,
                is_ended=self.ended.__contains__,
                record=self.outcomes.append,
                on_attempt=lambda who, status, seconds: self.attempts.append((who, status)),
                clock=Clock(self._tick, lambda: self.now),
            ),
            "desk",
        )

    def _tick(self) -> float:
        self._ticks += 1
        return float(self._ticks)

    def send(self, body: bytes, headers: McpHeaders | None = None) -> Told:
        """Send any message."""
        told = Told()
        told.cancel = self.pipeline.handle(Request(headers or McpHeaders(), body, "1.2.3.4"), told)
        return told

    def modern(self, method: str, params: dict[str, Any] | None = None, **more: Any) -> Told:
        """Send a request of 2026-07-28 with its headers."""
        params = params or {}
        name = params.get("uri") if method == "resources/read" else params.get("name")
        return self.send(modern(method, params, **more), modern_headers(method, name))

    def session(self, capabilities: bytes = b"{}", info: bytes = b"") -> str:
        """Open a legacy session; return its id."""
        return self.sealer.seal(self.sealer.create("2025-11-25", capabilities, info, self.now))

    def legacy(
        self, method: str, params: dict[str, Any] | None = None, session: str | None = None,
        **more: Any,
    ) -> Told:  # fmt: skip
        """Send a request on a legacy session, a new one if none is given."""
        headers = McpHeaders(session=session or self.session())
        return self.send(legacy(method, params, **more), headers)


def tool_result(text: str) -> bytes:
    """Return what a tool answers."""
    return json.dumps({"content": [{"type": "text", "text": text}]}).encode()


Sender = Callable[..., Told]
