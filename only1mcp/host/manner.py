"""How one server is to be met: what each start has shown of it is heeded at the next. Pure."""

from dataclasses import dataclass

from only1mcp.backends.pipe_handshake import AnsweredLate
from only1mcp.errors import BackendLost, BackendProtocolError, BackendTimeout, Only1MCPError


@dataclass(slots=True)
class Manner:
    """What is known of it."""

    probe: bool = True
    """Whether it can stand one."""
    is_slow: bool = False
    """Whether it needs long for its first word, each time, and is worth waiting for."""
    was_silent: bool = False
    """Whether the last start ended without a word."""

    def failed(self, error: Only1MCPError) -> None:
        """Learn from a start that failed.

        One that cannot stand the probe is spared it the next time. One that then speaks no legacy
        revision either was only slow: it gets the probe again, and time for that if need be.
        """
        if isinstance(error, (BackendLost, BackendTimeout)):
            self.was_silent = isinstance(error, BackendTimeout)
            self.probe = not self.probe
        elif isinstance(error, BackendProtocolError):
            self.is_slow = self.is_slow or isinstance(error, AnsweredLate)
            self.was_silent, self.probe = False, True

    def met(self, *, ignores_probe: bool) -> None:
        """Learn from a start that went well."""
        self.was_silent = False
        self.probe = self.probe and not ignores_probe
