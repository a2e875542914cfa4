"""What a call hears."""

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Respond
from only1mcp.errors import Only1MCPError


class Sink:
    """Implements `ReplySink`; remembers."""

    def __init__(self) -> None:
        self.heard: list[Envelope | Only1MCPError] = []
        """The ends: there should be one."""
        self.messages: list[Envelope] = []
        self.questions: list[tuple[Envelope, Respond]] = []

    def on_message(self, message: Envelope) -> None:
        """Take a notification."""
        assert not self.heard, "nothing comes after the end"
        self.messages.append(message)

    def on_request(self, message: Envelope, respond: Respond) -> None:
        """Take a question."""
        assert not self.heard, "nothing comes after the end"
        self.questions.append((message, respond))

    def on_reply(self, reply: Envelope) -> None:
        """Take a response."""
        self.heard.append(reply)

    def on_failure(self, error: Only1MCPError) -> None:
        """Take a failure."""
        self.heard.append(error)

    @property
    def methods(self) -> list[str]:
        """The methods of the notifications."""
        return [message.method or "" for message in self.messages]
