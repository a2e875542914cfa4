"""A legacy HTTP server that asks for its client's roots on the session's stream, between calls."""

from typing import Any

from aiohttp import web

from tests.support.keeping_backend import KeepingBackend, Kept

CHANGED = "notifications/roots/list_changed"


class RootsBackend(KeepingBackend):
    """Asks whenever a client says that its roots are others now."""

    def __init__(self) -> None:
        super().__init__("legacy")
        self.asked: list[Kept] = []
        """The sessions that were asked, in order."""
        self.answers: list[tuple[Kept, Any]] = []
        """What came back, and on which session."""

    async def _take(self, kept: Kept, method: str, message: dict[str, Any]) -> web.Response:
        if method == CHANGED:
            self.asked.append(kept)
            question = {"jsonrpc": "2.0", "id": len(self.asked), "method": "roots/list"}
            kept.said.put_nowait(question)
        elif "method" not in message:
            self.answers.append((kept, message.get("result", message.get("error"))))
            return web.Response(status=202)
        return await super()._take(kept, method, message)
