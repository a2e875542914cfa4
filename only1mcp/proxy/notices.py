"""Which of a server's notifications about a call its client wants, and in what form."""

from only1mcp._speedups import Envelope, members
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import ELICITED
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.log_levels import LOG_LEVEL, level_of, severity
from only1mcp.protocol.progress import token_of, with_progress_token
from only1mcp.protocol.versions import Era


class Notices:
    """Lets through progress on the client's own token, log messages at its level, ends of URLs.

    Args:
        inbound: the client's request.
        own: its progress token, as JSON; None when it wants no progress.
        token: what stands for that token towards the server.
        level: the severity from which a legacy client wants log messages; None for all.
    """

    def __init__(
        self, inbound: Inbound, own: bytes | None, token: bytes | None, level: int | None
    ) -> None:
        self._own = own
        self._token = token
        self._level = level
        self._wants_log = True
        self._knows_ids = inbound.era is Era.LEGACY
        if inbound.era is Era.MODERN:
            self.continue_with(inbound)

    def continue_with(self, inbound: Inbound) -> None:
        """Take over what a modern client's next request of the same call wants."""
        envelope = inbound.envelope
        has_token = envelope.token_end and self._token is not None
        self._own = envelope.body[envelope.token_start : envelope.token_end] if has_token else None
        self._level = asked_level(inbound)
        self._wants_log = self._level is not None

    def passed(self, message: Envelope) -> bytes | None:
        """Return the notification as the client is to get it; None when it is not to get it."""
        params: bytes = message.body[message.params_start : message.params_end]
        if message.method == "notifications/progress":
            if self._own is None or token_of(params) != self._token:
                return None
            changed = with_progress_token(params, self._own)
            return jsonrpc.notification("notifications/progress", changed)
        if message.method == "notifications/message":
            wanted = self._wants_log and level_of(params) >= (self._level or 0)
            return message.body if wanted else None
        return message.body if message.method == ELICITED and self._knows_ids else None


def asked_level(inbound: Inbound) -> int | None:
    """Return the severity that a modern request asks log messages from; None for none at all."""
    envelope = inbound.envelope
    body: bytes = envelope.body
    if b"logLevel" not in body[envelope.meta_start : envelope.meta_end]:
        return None
    for key, start, end in members(body, envelope.meta_start):
        if key == LOG_LEVEL:
            return severity(as_string(body[start:end]) or "")
    return None
