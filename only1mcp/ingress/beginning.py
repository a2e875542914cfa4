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

    def gather(self, passed: bytes, framer: Framer) -> bool:
        """Keep what has passed.

        Returns:
            Whether it is kept until more has come. It is not when the request is there as a whole,
            when that is or will be more than is gathered, and when the client waits for a word.
        """
        size = len(self._gathered) + len(passed)
        is_part = framer.requests <= 1 and framer.awaits_body
        if not is_part or max(size, framer.announced) > SMALL:
            return False
        if not self._held.fits_unfinished(len(passed)):
            return False  # whoever reads the head can tell whether its client may speak
        self._held.take(len(passed), size)
        self._gathered += passed
        return True

    def end(self) -> bytes:
        """Return what was kept before; it counts no more."""
        self._held.give(len(self._gathered))
        gathered, self._gathered = bytes(self._gathered), bytearray()
        return gathered
