"""A legacy HTTP server that asks for its client's roots on the session's stream, between calls."""

from typing import Any

from aiohttp import web

from tests.support.keeping_backend import KeepingBackend, Kept

_PING = "heard?"
CHANGED = "notifications/roots/list_changed"


class RootsBackend(KeepingBackend):
    """Asks whenever a client says that its roots are others now.

    It sends a ping behind each question: once that is answered, the question has been heard.
    """

    def __init__(self) -> None:
        super().__init__("legacy")
        self.asked: list[Kept] = []
        """The sessions that were asked, in order."""
        self.heard = 0
        """How many of the questions have certainly come to whoever reads the stream."""
        self.answers: list[tuple[Kept, Any]] = []
        """What came back, and on which session."""

    async def _take(self, kept: Kept, method: str, message: dict[str, Any]) -> web.Response:
        if method == CHANGED:
            self.asked.append(kept)
            question = {"jsonrpc": "2.0", "id": len(self.asked), "method": "roots/list"}
            kept.said.put_nowait(question)
            kept.said.put_nowait({"jsonrpc": "2.0", "id": _PING, "method": "ping"})
        elif message.get("id") == _PING:
            self.heard += 1
            return web.Response(status=202)
        elif "method" not in message:
            self.answers.append((kept, message.get("result", message.get("error"))))
            return web.Response(status=202)
        return await super()._take(kept, method, message)
