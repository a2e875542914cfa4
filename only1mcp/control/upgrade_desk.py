"""Has the supervisor start the program that is installed now: one at a time.

Whoever asks while that is under way is refused here, so that what the supervisor notes of its end
is for the one who waits for it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from only1mcp.ingress.admin_refusal import refusal
from only1mcp.memory.upgrades import Standing, UpgradeWords

Answer = tuple[int, dict[str, Any]]
HEAR_S = 5.0
_LOOK_S = 0.005
_REFUSALS = {
    Standing.UNDER_WAY: ("UPGRADE_UNDER_WAY", "another upgrade is under way",
                         "its own command says how it ends, and so does only1mcp status"),
    Standing.HANDED_OVER: ("HANDED_OVER", "another program has just taken over",
                           "ask that one: only1mcp upgrade"),
}  # fmt: skip


class UpgradeDesk:
    """Passes the wish on.

    Args:
        words: what the supervisor says of it.
        ask: tells the supervisor; returns the answer to whoever asked us.
    """

    def __init__(self, words: UpgradeWords, ask: Callable[[], Answer]) -> None:
        self._words = words
        self._ask = ask
        self._one_at_a_time = asyncio.Lock()

    async def begin(self) -> Answer:
        """Have it begun, and heard, unless one is under way."""
        async with self._one_at_a_time:
            refused = _REFUSALS.get(self._words.standing)
            if refused is not None:
                return 409, refusal(*refused)
            heard = self._words.heard
            status, answer = self._ask()
            if status < 400 and not await self._is_heard(heard):
                message = f"the supervisor has not heard of it after {HEAR_S:g} s"
                return 503, refusal("NOT_HEARD", message, "see only1mcp status and the log")
            return status, answer

    async def _is_heard(self, before: int) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEAR_S
        while True:
            if self._words.heard != before:
                return True
            if loop.time() > deadline:
                return False
            await asyncio.sleep(_LOOK_S)
