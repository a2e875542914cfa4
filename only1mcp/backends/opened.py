"""A legacy session with an HTTP server that is open."""

from dataclasses import asdict, dataclass
from typing import Any

from only1mcp.backends.handshake import Hello
from only1mcp.protocol.versions import Era
from only1mcp.transports.streamable_http import HttpAnswer


@dataclass(eq=False, slots=True)
class Opened:
    """A legacy session; what belongs together is swapped together."""

    hello: Hello
    session_id: str | None
    """None when the backend keeps no sessions."""
    is_shared: bool = False
    """Whether another process opened it, which ends it, too."""
    level: int | None = None
    """The severity from which on the server was asked to log; None when it never was."""
    under_way: int = 0
    """Requests of ours that are not answered, without those of the fast lane."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers that name it."""
        headers = {"MCP-Protocol-Version": self.hello.version}
        if self.session_id is not None:
            headers["Mcp-Session-Id"] = self.session_id
        return headers

    def is_forgotten(self, answer: HttpAnswer) -> bool:
        """Say whether the backend refused a request because it no longer knows the session.

        Such a request did not run. The status is 404 (2025-11-25, basic/transports, Session
        Management); servers modelled on the TypeScript SDK's examples say 400.
        """
        if self.session_id is None:
            return False
        return answer.status == 404 or (answer.status == 400 and answer.refused)

    def wants(self, level: int | None) -> bool:
        """Say whether somebody wants more log messages than the server was asked for."""
        if level is None or "logging" not in self.hello.capabilities:
            return False
        return self.level is None or level < self.level

    def to_plain(self) -> dict[str, Any]:
        """Give it a form that JSON can carry."""
        hello = {**asdict(self.hello), "era": self.hello.era.value, "eras": []}
        return {"hello": hello, "session_id": self.session_id, "level": self.level}

    @classmethod
    def from_plain(cls, plain: dict[str, Any], *, is_shared: bool) -> "Opened":
        """Undo `to_plain`."""
        hello = Hello(**{**plain["hello"], "era": Era.LEGACY, "eras": frozenset({Era.LEGACY})})
        return cls(hello, plain["session_id"], is_shared, plain["level"])
