"""What the host has to find out before some requests can be answered, asked for when first needed.

Two things: whether modern servers speak a legacy revision too (asked when the first legacy client
comes), and what legacy servers offer to clients with certain features.
"""

import asyncio
from collections.abc import Callable

PATIENCE_S = 5.0
"""How long requests wait; then they are answered from what is known."""
LEGACY = "legacy"


class Learning:
    """The topics that were asked for, and those that are known."""

    def __init__(self, ask: Callable[[str], None], on_learned: Callable[[], None]) -> None:
        self._ask = ask
        self._on_learned = on_learned
        self._asked: set[str] = set()
        self._known: set[str] = set()

    def knows(self, topic: str) -> bool:
        """Say whether a topic is known; if not, see to it that it will be."""
        if topic in self._known:
            return True
        if topic not in self._asked:
            self._asked.add(topic)
            self._ask(topic)
            asyncio.get_running_loop().call_later(PATIENCE_S, self.learned, topic)
        return topic in self._known

    def learned(self, topic: str) -> None:
        """Note that a topic is known, or that it is not waited for any longer."""
        if topic not in self._known:
            self._known.add(topic)
            self._on_learned()

    def ask_again(self) -> None:
        """Ask a new host what the one before was asked."""
        for topic in self._asked:
            self._ask(topic)
