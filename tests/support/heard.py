"""What a channel says, kept for a test to look at."""

from only1mcp.protocol.lines import SkippedLine


class Heard:
    """Implements `ChannelObserver`; remembers everything, in order."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.skipped: list[SkippedLine] = []
        self.errors: list[bytes] = []
        self.exits: list[str] = []

    def on_line(self, message: bytes) -> None:
        """Take a message."""
        assert not self.exits, "nothing is said after the exit"
        self.lines.append(message)

    def on_skipped(self, line: SkippedLine) -> None:
        """Take what is left of a message."""
        self.skipped.append(line)

    def on_lines(self, messages: list[bytes]) -> None:
        """Take messages that came together."""
        for message in messages:
            self.on_line(message)

    def on_stderr(self, line: bytes) -> None:
        """Take a line of standard error."""
        self.errors.append(line)

    def on_exit(self, reason: str) -> None:
        """Take the exit."""
        self.exits.append(reason)
