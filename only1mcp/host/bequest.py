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
"""How long servers are not started for the sake of a host that is not done."""


class Bequest:
    """Our end of the link to that host.

    Args:
        take: takes an event; those that it does not know are none of its business.
    """

    def __init__(self, take: Callable[[dict[str, Any]], None]) -> None:
        self._take = take
        self._taken = 0
        """How many events."""
        self._settled = asyncio.Event()
        """Whether we know all that was known when we came, or have said that we do not."""
        self._is_told = False
        self._is_over = False
        """Whether we listen no more: it says what we do not know."""

    async def accept(self, path: Path) -> None:
        """Hear what is known so far; what comes to be known later is taken when it is told."""
        try:
            await connect(path, self._link)
            async with asyncio.timeout(WAIT_S):
                await self._settled.wait()
        except TimeoutError:
            self._lack(f"it was not done within {WAIT_S:g} s, and may go on")
        except OSError as error:
            self._lack(str(error))

    def _lack(self, why: str) -> None:
        """Say that something is not taken over."""
        self._settled.set()
        _log.warning(
            "not all of what clients have subscribed to is taken over from the program before"
            " this one: %s (messages taken: %d)", why, self._taken,
        )  # fmt: skip

    def _link(self) -> Link:
        return Link(self._on_frame, self._on_close)

    def _on_frame(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        del kind, token
        if self._is_over:
            return
        try:
            event = orjson.loads(payload)
            if TOLD in event:
                self._on_told()
            else:
                self._take(event)
                self._taken += 1
        except (KeyError, TypeError, ValueError) as error:
            self._is_over = True
            self._lack(f"it says what we do not know, {error!r}")
            link.close()

    def _on_told(self) -> None:
        if self._settled.is_set():
            _log.info("the program before this one has told the rest now")
        self._is_told = True
        self._settled.set()

    def _on_close(self, link: Link) -> None:
        del link
        if not (self._is_told or self._is_over):
            self._lack("it has ended")
