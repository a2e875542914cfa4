"""What a child says on its standard error: logged within bounds, and its last words kept."""

import logging
import re
import time
from collections import deque
from collections.abc import Callable

_log = logging.getLogger(__name__)
_KEPT = 5
_LOGGED = 2000
_WINDOW_S = 60.0
_PLACE = r":\d+\)?|:line \d+|<anonymous>\)?|\((?:native|index \d+|Native Method|Unknown Source)\)"
_FRAME = re.compile(rf"""File ".+", line \d|at \S.*(?:{_PLACE})$""")
"""A line of a stack: there are more of them than are kept, and the message is another."""
_RULING = " |+-^~"
"""What groups of exceptions are framed with in Python, and faults underlined."""
_CODE = " " * 4
"""How far the code of a frame stands from such a frame, at the least."""


class StandardError:
    """The standard error of one child.

    Many servers write a line for each call: a bound for good would hide, of a server that runs for
    long, just the lines that say why it ended. So it is one for each minute.

    Args:
        server_id: whose it is.
        now: the clock, in seconds.
    """

    def __init__(self, server_id: str, now: Callable[[], float] = time.monotonic) -> None:
        self._facts = {"server": server_id}
        self._now = now
        self._last: deque[str] = deque(maxlen=_KEPT)
        self._began_s = now()
        self._lines = 0

    def take(self, line: bytes) -> None:
        """Log a line, and keep it if it may tell why the child ends."""
        text = line.decode(errors="replace")
        self._keep(text)
        if self._now() - self._began_s >= _WINDOW_S:
            self._begin_anew()
        self._lines += 1
        if self._lines < _LOGGED:
            _log.info("stderr: %s", text, extra=self._facts)
        elif self._lines == _LOGGED:
            _log.warning("stderr: no more of it is logged in this minute", extra=self._facts)

    @property
    def last_words(self) -> str:
        """What was said last but for stacks, to be put behind the reason of an end."""
        return f"; its last words: {' | '.join(self._last)}" if self._last else ""

    def _keep(self, text: str) -> None:
        bare = text.lstrip(_RULING)
        is_code = text[: len(text) - len(bare)].endswith(_CODE)
        if bare and not _FRAME.match(bare) and not is_code:
            self._last.append(bare[:300])

    def _begin_anew(self) -> None:
        missed = self._lines - _LOGGED
        if missed > 0:
            _log.warning("stderr: %d lines of it were not logged", missed, extra=self._facts)
        self._began_s, self._lines = self._now(), 0
