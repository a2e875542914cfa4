"""Our place was another supervisor's: first we come to serve, then it leaves us the clients."""

import time

from only1mcp.memory.health_words import Health, HealthWords
from only1mcp.memory.lasting import Lasting, NotUnderstood
from only1mcp.memory.layout import new_lasting
from only1mcp.process.context import Shared
from only1mcp.supervisor.bond import ANCHOR, GONE, LEAVE, READY, Bond, bond_of
from only1mcp.supervisor.handover import NONE, Handover

SERVERS_S = 30.0
"""How long clients are kept from us for servers that do not come up."""


class Takeover:
    """What of it is done.

    Args:
        handover: what we were given.
    """

    def __init__(self, handover: Handover) -> None:
        self.is_done = False
        """Whether the clients are ours."""
        self.anchor: Bond | None = None if handover.anchor == NONE else bond_of(handover.anchor)
        """To the process that others know the gateway by, if it is not us."""
        self._handover = handover
        self._bond = bond_of(handover.bond)
        self._has_said = False
        self._deadline = time.monotonic() + SERVERS_S

    def servers_are_up(self, shared: Shared, now: float) -> bool:
        """Say whether those that could be called can be; those that cannot are not waited for."""
        words, slots = HealthWords(shared.memory), shared.settings.slot_of
        wanted = [slots[one] for one in self._handover.up if one in slots]
        return now > self._deadline or all(words.read(slot) is Health.UP for slot in wanted)

    def say_ready(self) -> None:
        """Say, once, that we serve."""
        if not self._has_said:
            self._has_said = True
            self._bond.say(READY)

    def is_lost(self) -> bool:
        """Hear what was said; say whether who would hand over, or the anchor, is gone."""
        if self.is_done:
            return self.anchor is not None and self.anchor.hear() == GONE
        word = self._bond.hear()
        if word in (LEAVE, ANCHOR):
            self.is_done = True
            if word == ANCHOR:
                self.anchor = self._bond
            else:
                self._bond.close()
        return word == GONE


def lasting_of(handover: Handover) -> Lasting | None:
    """Return the words about clients; None when the other program's are not ours."""
    try:
        return new_lasting(handover.lasting)
    except NotUnderstood:
        return None
