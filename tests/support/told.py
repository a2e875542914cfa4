"""An exchange in memory."""

import json
from typing import Any

from only1mcp.backends.call import Cancel
from only1mcp.proxy.exchange import Answer


class Told:
    """Implements `Exchange`; remembers what it is told, in order."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.sent: list[tuple[str | None, bytes]] = []
        """The messages of the stream, each with its event id."""
        self.answer_id: str | None = None
        """The event id of the answer."""
        self.is_open = False
        self.has_ended = False
        """Whether it ended without an answer."""
        self.cancel: Cancel = lambda: None

    def open(self) -> None:
        """Begin the stream."""
        self.is_open = True

    def send(self, message: bytes, event_id: str | None = None) -> None:
        """Take a message."""
        assert not self.answers, "nothing comes after the answer"
        assert not self.has_ended, "nothing comes after the end"
        self.is_open = True
        self.sent.append((event_id, message))

    def answer(self, answer: Answer, event_id: str | None = None) -> None:
        """Take the answer."""
        assert not self.has_ended, "nothing comes after the end"
        self.answers.append(answer)
        self.answer_id = event_id

    def end(self) -> None:
        """Take the end."""
        assert not self.answers, "nothing comes after the answer"
        self.has_ended = True

    @property
    def only(self) -> Answer:
        """The one answer that came."""
        (answer,) = self.answers
        return answer

    @property
    def message(self) -> Any:
        """The one answer's body, parsed."""
        return json.loads(self.only.body)

    @property
    def messages(self) -> list[Any]:
        """What came before the answer, parsed; events that carry only an id are left out."""
        return [json.loads(message) for _, message in self.sent if message]

    @property
    def methods(self) -> list[str]:
        """The methods of these messages."""
        return [message["method"] for message in self.messages]

    @property
    def event_ids(self) -> list[str | None]:
        """The ids of all events so far, the answer's included."""
        ids = [event_id for event_id, _ in self.sent]
        return [*ids, self.answer_id] if self.answers else ids
