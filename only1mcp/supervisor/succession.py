"""Where a supervisor comes from, and what comes after it."""

import logging
import os
from datetime import UTC, datetime

from only1mcp import __version__
from only1mcp.memory.health_words import Health, HealthWords
from only1mcp.memory.upgrades import Standing
from only1mcp.process.context import Shared
from only1mcp.supervisor.bond import Bond
from only1mcp.supervisor.handover import NONE, Handover
from only1mcp.supervisor.holdings import Holdings
from only1mcp.supervisor.takeover import Takeover
from only1mcp.supervisor.upgrade import Upgrade

_log = logging.getLogger(__name__)


class Succession:
    """One supervisor's place among those before and after it.

    Args:
        holdings: what it took over, and hands over.
    """

    def __init__(self, holdings: Holdings) -> None:
        self.takeover = None if holdings.handover is None else Takeover(holdings.handover)
        """From the one before; None where there was none."""
        self._holdings = holdings
        self._upgrade: Upgrade | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the clients are ours already."""
        return self.takeover is None or self.takeover.is_done

    @property
    def anchor(self) -> Bond | None:
        """To the process that others know the gateway by, if it is not us."""
        return None if self.takeover is None else self.takeover.anchor

    @property
    def successor(self) -> int:
        """The process of the next program, 0 where there is none."""
        return 0 if self._upgrade is None else self._upgrade.pid

    @property
    def ended_with(self) -> int:
        """The exit code of the next program, if it has ended."""
        return 0 if self._upgrade is None else self._upgrade.ended_with

    @property
    def has_handed_over(self) -> bool:
        """Whether the clients are another one's now."""
        return self._upgrade is not None and self._upgrade.taken_over

    @property
    def standing(self) -> Standing:
        """How a wish for an upgrade would find us."""
        if self.has_handed_over:
            return Standing.HANDED_OVER
        is_idle = self._upgrade is None and self.is_ours
        return Standing.IDLE if is_idle else Standing.UNDER_WAY

    def begin(self, shared: Shared, now: float) -> None:
        """Start the program that is installed now, unless that is not to be."""
        if self.standing is not Standing.IDLE:
            # Not noted: whoever asked for the one under way waits for the end of that.
            _log.error("another upgrade is under way")
            return
        if self._holdings.is_private:
            self._note(
                False,
                "this gateway is its client's own: it ends with that, and then is the new one",
            )
            return
        _log.info("the new program is started")

        def make(bond: int, stderr: int) -> Handover:
            return self._handover(shared, bond, stderr)

        self._upgrade = Upgrade(make, now)

    def is_due(self, now: float) -> bool:
        """Say whether the clients are to be handed over now; True once."""
        if self._upgrade is None:
            return False
        if self._upgrade.is_ready(now):
            return True
        if self._upgrade.is_over(now):
            self._note(False, f"the new program did not take over: {self._upgrade.failure}")
            self._upgrade = None
        return False

    def leave(self, *, stays: bool) -> None:
        """Leave the clients to the new program."""
        assert self._upgrade is not None
        self._note(True, f"the new program (pid {self._upgrade.pid}) takes over")
        self._upgrade.leave(stays=stays)

    def give_up(self) -> None:
        """Want no new program any more: we end."""
        if self._upgrade is not None and not self._upgrade.taken_over:
            self._upgrade.give_up()

    def ended(self, pid: int, status: int) -> None:
        """Note that a process was reaped; it need not be the new program's."""
        if self._upgrade is not None and pid == self._upgrade.pid:
            self._upgrade.ended(status)

    def close(self) -> None:
        """Let go, in a child, of what is the supervisor's alone."""
        ends: list[Bond | None] = [self.anchor]
        if self._upgrade is not None and not self._upgrade.failure:
            ends.append(self._upgrade.bond)
        for end in ends:
            if end is not None:
                end.close()

    def _handover(self, shared: Shared, bond: int, stderr: int) -> Handover:
        words = HealthWords(shared.memory)
        up = (name for name, slot in shared.settings.slot_of.items()
              if words.read(slot) is Health.UP)  # fmt: skip
        held = self._holdings
        return Handover(
            listeners=tuple(one.fileno() for one in held.listeners),
            demo=NONE if held.demo is None else held.demo.fileno(),
            lock=held.lock, lasting=shared.memory.lasting.file, ended_lock=shared.ended_lock,
            bond=bond, stderr=stderr, generation=held.generation + 1, host=shared.settings.host,
            session_key=shared.session_key.hex(), client_slots=shared.settings.client_slots,
            up=tuple(up), anchor=NONE if self.anchor is None else self.anchor.fileno(),
        )  # fmt: skip

    def _note(self, ok: bool, message: str) -> None:
        _log.log(logging.INFO if ok else logging.ERROR, "%s", message)
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._holdings.runtime_dir.write_upgrade(
            {"ok": ok, "message": message, "at": at, "pid": os.getpid(), "from": __version__}
        )
