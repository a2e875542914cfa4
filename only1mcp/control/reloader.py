"""Reads the configuration again and puts it in force: everywhere, or nowhere.

The parsers, which processes that serve never import, are in a process of their own, which stays
for a while: starting it anew would cost each reload more than all the rest of it (docs/adr/0012).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import orjson

from only1mcp.config.fixed import ANEW, fixed_problems, with_port_kept
from only1mcp.config.problems import NOWHERE, ConfigInvalid, Problem
from only1mcp.config.settings import Settings
from only1mcp.config.sight import look
from only1mcp.config.writers import LOOK_S, PATIENCE_S, is_saved
from only1mcp.control.outcome import Outcome, Stopwatch, differences, refused
from only1mcp.control.parsers import Parsers
from only1mcp.memory.layout import CELLS
from only1mcp.memory.processes import State, read_processes
from only1mcp.process.context import Shared

_log = logging.getLogger(__name__)
START = "start"
"""The cause of the reload that control makes when it comes: the file may have changed before."""
REQUEST, FILE = "request", "file"
UNCHANGED = "nothing has changed"
JUST_NOW_S = 10.0
"""So long after the file watcher somebody who asks for a reload means the same change."""
CONFIRM_S = 5.0
_LOOK_S = 0.002
_AT_START_S = 60.0
"""So long is waited for whoever writes a file when nobody has asked for it to be read."""
_FOLLOWERS = frozenset({"worker", "host"})


class Superseded(Exception):
    """The file was written again while it was read."""


class Reloader:
    """Knows the settings in force; the only one that puts others in their place."""

    def __init__(
        self, shared: Shared, parsers: Parsers, follow: Callable[[Settings], None]
    ) -> None:
        self._shared = shared
        self._parsers = parsers
        self._follow = follow
        self._one_at_a_time = asyncio.Lock()
        self.settings = shared.settings
        self.last: Outcome | None = None
        """How the last reload ended; None when there was none since this process started."""
        self._last_at = 0.0
        self._has_read = False
        """Whether the file was read since this process started."""

    async def follow_file(self, still: Callable[[], bool]) -> None:
        """Put in force what the file says, unless it is another one again by the time it is read.

        Whoever sees that it changed comes again; what was read may be the half of something.
        """
        with contextlib.suppress(Superseded):
            await self._reload_in_turn(FILE, still)

    async def reload(self, cause: str) -> Outcome:
        """Put in force what the file says now, if it can be.

        Whoever writes it is waited for: not for ever, for somebody has asked for it. The half of a
        file is not put in force for that; whoever sees it whole comes again.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + (_AT_START_S if cause == START else PATIENCE_S)
        path = None if self._shared.source is None else self._shared.source.path
        while path is not None and loop.time() < until:
            still = partial(is_saved, path, look(path))
            if still():
                with contextlib.suppress(Superseded):
                    return await self._reload_in_turn(cause, still)
            await asyncio.sleep(LOOK_S)
        if path is not None:
            return self._note(_being_saved(cause, self.settings, path))
        return await self._reload_in_turn(cause, lambda: True)

    async def _reload_in_turn(self, cause: str, still: Callable[[], bool]) -> Outcome:
        """Put in force what the file says, and note what came of it.

        Raises:
            Superseded: the file is no more what the reload is for.
        """
        async with self._one_at_a_time:
            if cause == START and self.last is not None and self._has_read:
                return self.last  # the file was read since
            outcome = await self._reload(cause, still)
            outcome = self._forestalled(outcome) or outcome
            self._has_read = True
        if cause == START and outcome.message == UNCHANGED:
            return outcome  # which is no news
        return self._note(outcome)

    def _note(self, outcome: Outcome) -> Outcome:
        self.last, self._last_at = outcome, time.monotonic()
        reloads = self._shared.memory.reloads
        reloads[1] += not outcome.ok
        reloads[0] += 1
        return outcome

    def _forestalled(self, outcome: Outcome) -> Outcome | None:
        """Tell whoever asks for a reload what the file watcher, which came first, has done."""
        last, ago_s = self.last, time.monotonic() - self._last_at
        asked = outcome.cause == REQUEST and outcome.message == UNCHANGED
        if not asked or last is None or ago_s > JUST_NOW_S:
            return None
        if last.cause != FILE or not last.ok or last.message == UNCHANGED:
            return None
        message = f"already reloaded {ago_s:.1f} s ago, when the file changed"
        return replace(last, cause=outcome.cause, message=message)

    async def _reload(self, cause: str, still: Callable[[], bool]) -> Outcome:
        watch, old = Stopwatch(), self.settings
        try:
            new = await self._read(still)
        except Superseded:
            raise
        except ConfigInvalid as error:
            message = "the configuration is not valid; nothing was changed"
            _log.error("%s:\n%s", message, error)
            return refused(cause, old.number, message, error.problems)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a file, we go on without it
            message = "the configuration cannot be read; nothing was changed"
            _log.exception("%s", message)
            return refused(cause, old.number, f"{message}: {error!r}")
        if new == old.following(old):
            if cause != START:
                _log.info("reloaded", extra={"cause": cause, "detail": UNCHANGED})
            return Outcome(cause, True, UNCHANGED, old.number, took_ms=watch.ms)
        self._put_in_force(new)
        added, removed, changed = differences(old, new)
        unconfirmed = await self._confirmed(new.number)
        return self._done(Outcome(
            cause, True, "reloaded", new.number, (), added, removed, changed, unconfirmed, watch.ms,
        ))  # fmt: skip

    async def _read(self, still: Callable[[], bool]) -> Settings:
        """Return the settings that the file asks for.

        Raises:
            ConfigInvalid: they cannot be put in force.
            Superseded: they are not what the file says by now.
        """
        old = self.settings
        new = with_port_kept(old, await self._loaded(still)).following(old)
        problems = [*fixed_problems(old, new), *self._room(new)]
        if problems:
            raise ConfigInvalid(problems)
        return new

    async def _loaded(self, still: Callable[[], bool]) -> Settings:
        try:
            loaded = await self._parsers.load()
        except Exception:
            if still():
                raise
        else:
            if still():
                return loaded
        raise Superseded

    def _room(self, new: Settings) -> list[Problem]:
        """Refuse more servers than shared memory has slots for."""
        room = self._shared.memory.layout.servers
        if len(new.client_slots) >= CELLS:
            what = f"there is room for {CELLS - 1} keys in the life of a gateway"
            return [Problem(new.source, NOWHERE, "auth.keys", what, ANEW)]
        if len(new.slots) <= room:
            return []
        what = f"there is room for {room} servers in the life of a gateway"
        return [Problem(new.source, NOWHERE, "servers", what, ANEW)]

    def _put_in_force(self, new: Settings) -> None:
        """Let all processes have the new settings; our own board has to know the servers first."""
        assert self._shared.published is not None
        assert self._shared.bells is not None
        self.settings = new
        self._follow(new)
        self._shared.published.publish(new.number, orjson.dumps(new.to_plain()))
        self._shared.bells.ring()

    async def _confirmed(self, number: int) -> tuple[str, ...]:
        """Wait until all work by the new settings; returns who does not say so in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONFIRM_S
        while True:
            late = tuple(
                f"{row.role}-{row.index}" for row in read_processes(self._shared.memory)
                if row.role in _FOLLOWERS and row.state is not State.DRAINING
                and row.serves < number
            )  # fmt: skip
            if not late or loop.time() > deadline:
                return late
            await asyncio.sleep(_LOOK_S)

    @staticmethod
    def _done(outcome: Outcome) -> Outcome:
        said = outcome.to_plain()
        facts = ("cause", "number", "added", "removed", "changed", "took_ms")
        _log.info("reloaded", extra={fact: said[fact] for fact in facts})
        if outcome.unconfirmed:
            _log.error(
                "not all processes work by the new settings", extra={"late": outcome.unconfirmed}
            )
        return outcome


def _being_saved(cause: str, settings: Settings, path: Path) -> Outcome:
    """Refuse to read what somebody is writing."""
    what = "is open for writing by another program"
    hint = f"reload again when it has closed the file; `fuser -v {path}` shows who has it open"
    problem = Problem(str(path), NOWHERE, "", what, hint)
    message = "the configuration is being written; nothing was changed"
    _log.error("%s:\n%s", message, problem)
    return refused(cause, settings.number, message, [problem])
