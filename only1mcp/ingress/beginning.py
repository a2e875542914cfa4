"""The first request of a connection, until it is there as a whole.

A parser, with the task that reads a body, is dear. Clients that send a byte now and then come in
thousands, and get none.
"""

from only1mcp.ingress.held import SMALL, Held
from only1mcp.ingress.http1 import Framer


class Beginning:
    """Gathers what has passed the framer of one connection.

    Args:
        held: counts it, as it does all bodies.
    """

    def __init__(self, held: Held) -> None:
        self._held = held
        self._gathered = bytearray()

    def gather(self, passed: bytes, framer: Framer) -> bytes:
        """Add what has passed.

        Returns:
            All of it, once that is a whole request, once no more is gathered, and when the client
            waits to be told to go on; nothing till then.
        """
        size = len(self._gathered) + len(passed)
        is_part = framer.requests <= 1 and framer.awaits_body and size <= SMALL
        if is_part and self._held.fits(len(passed), size):
            self._held.take(len(passed), size)
            self._gathered += passed
            return b""
        return self.end() + passed

    def end(self) -> bytes:
        """Return what was gathered; it counts no more."""
        self._held.give(len(self._gathered))
        gathered, self._gathered = bytes(self._gathered), bytearray()
        return gathered
