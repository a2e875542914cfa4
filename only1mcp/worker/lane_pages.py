"""Pages for probes and collectors, on connections of the fast lane."""

from typing import Any

from only1mcp.ingress import page_request
from only1mcp.ingress.fast_exchange import response
from only1mcp.ingress.page_request import PageRequest
from only1mcp.ingress.pages import PUBLIC, Page, Pages
from only1mcp.tasks import Tasks


class LanePages:
    """Answers those who ask for them in the plainest way."""

    def __init__(self, lane: Any, pages: Pages, tasks: Tasks, max_header: int) -> None:
        self._lane, self._pages, self._tasks = lane, pages, tasks
        self._max_header = max_header

    def answer(self, front: Any, data: bytes) -> tuple[int, bytes | None, bool] | None:
        """Answer what a connection's bytes begin with.

        Returns:
            How many bytes that takes; the response, if it is not written later; and whether the
            connection ends with it. None if the other door is to answer.
        """
        request = page_request.read(data, self._max_header)
        if request is None or (self._lane.anyone is None and request.path not in PUBLIC):
            return None
        page = self._pages.at_once(request.path)
        if page is None:
            self._tasks.spawn(self._answer_later(front, request))
            return request.size, None, False
        return request.size, *self._write(page, request)

    async def _answer_later(self, front: Any, request: PageRequest) -> None:
        try:
            page = await self._pages.read(request.path)
        except BaseException:
            if front.transport is not None:
                front.transport.abort()  # its client learns that nothing comes
            raise
        answer, closes = self._write(page, request)
        front.write(answer)
        front.done(last=closes)

    def _write(self, page: Page, request: PageRequest) -> tuple[bytes, bool]:
        """Return the response, and whether the connection ends with it."""
        closes = request.closes or self._lane.draining
        fields = [("Content-Type", page.content_type)]
        return response(page.status, fields, page.body, closes=closes), closes
