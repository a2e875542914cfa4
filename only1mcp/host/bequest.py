"""What the host of the program whose place ours takes leaves to us, as long as it is there.

Ids of sessions carry most of what is known of them, and memory that both programs have carries
marks. What legacy sessions watch is neither: our sessions with servers are new, so the servers have
to be asked for it again, before clients come to us. What is left late, or not at all, is no reason
not to serve: clients can subscribe again.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from only1mcp.host.session_watches import TOLD
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, connect

_log = logging.getLogger(__name__)
WAIT_S = 1.0
"""How long servers are not started for the sake of a host that says nothing."""


class Bequest:
    """Our end of the link to that host.

    Args:
        take: takes an event; those that it does not know are none of its business.
    """

    def __init__(self, take: Callable[[dict[str, Any]], None]) -> None:
        self._take = take
        self._told = asyncio.Event()
        """Whether we know all that was known when we came, or never will."""
        self._failure = "it has said nothing"

    async def accept(self, path: Path) -> None:
        """Hear what is known so far; what comes to be known later is taken when it is told."""
        try:
            await connect(path, self._link)
            async with asyncio.timeout(WAIT_S):
                await self._told.wait()
        except OSError as error:  # so is a timeout
            self._failure = str(error) or self._failure
        if self._failure:
            _log.warning(
                "not all of what clients have subscribed to is taken over from the program before"
                " this one: %s", self._failure,
            )  # fmt: skip

    def _link(self) -> Link:
        return Link(self._on_frame, self._on_close)

    def _on_frame(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        del kind, token
        try:
            event = orjson.loads(payload)
            if TOLD in event:
                self._failure = ""
                self._told.set()
            self._take(event)
        except (KeyError, TypeError, ValueError) as error:
            _log.warning("the program before this one says what we do not know: %r", error)
            link.close()

    def _on_close(self, link: Link) -> None:
        del link
        self._told.set()
