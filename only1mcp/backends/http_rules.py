"""What an HTTP backend's status and headers mean, apart from any session. Pure."""

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Outgoing
from only1mcp.errors import BackendBusy, BackendLost, BackendProtocolError, BackendUnreachable
from only1mcp.protocol.headers import encode_value
from only1mcp.protocol.versions import NEWEST_MODERN
from only1mcp.transports.streamable_http import HttpAnswer


def message_of(name: str, answer: HttpAnswer) -> Envelope:
    """Return the response that an answer holds.

    Raises:
        BackendError: it holds none.
    """
    refuse_outages(name, answer)
    if answer.message is None and answer.resume_from is not None:
        raise BackendLost(f"server {name} ended the stream without a response")
    if answer.message is None:
        raise BackendProtocolError(
            f"server {name} answered with HTTP status {answer.status} and no message"
        )
    return answer.message


def check_id(name: str, request_id: bytes, answer: HttpAnswer) -> HttpAnswer:
    """Return the answer to this request, marked if it refuses what was not even read.

    Raises:
        BackendProtocolError: it answers another request.
    """
    if answer.message is not None and answer.message.id == request_id:
        return answer
    # A refusal bears no id, or one of the server's own: Python servers say "server-error".
    answer.refused = answer.status >= 400
    if not answer.refused and answer.message is not None and answer.message.id is not None:
        raise BackendProtocolError(f"server {name} answered another request")
    return answer


def refuse_outages(name: str, answer: HttpAnswer) -> None:
    """Tell statuses that say nothing about the request.

    Raises:
        BackendError: the server, or something before it, did not take the request.
    """
    if answer.status in (401, 403) and answer.message is None:
        raise BackendUnreachable(
            f"server {name} refuses our credentials (HTTP {answer.status})",
            hint="check the server's headers or auth in the configuration",
        )
    if answer.status in (429, 503):
        raise BackendBusy(f"server {name} is unavailable (HTTP {answer.status})")
    if answer.status in (502, 504):  # somebody in between gave up; the call may have run
        raise BackendLost(f"server {name} is unavailable (HTTP {answer.status})")
    if 300 <= answer.status < 400:
        raise BackendProtocolError(
            f"server {name} redirects (HTTP {answer.status})",
            hint="configure the address that it redirects to",
        )


def modern_headers(outgoing: Outgoing) -> dict[str, str]:
    """Return the headers of a modern request (2026-07-28, streamable-http, Standard headers)."""
    headers = {"MCP-Protocol-Version": NEWEST_MODERN, "Mcp-Method": outgoing.method}
    if outgoing.target is not None and outgoing.method != "completion/complete":
        headers["Mcp-Name"] = encode_value(outgoing.target)
    headers.update(outgoing.headers)
    return headers
