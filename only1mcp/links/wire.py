"""What frames carry: calls and failures as bytes."""

import struct
from dataclasses import dataclass

import orjson

from only1mcp import errors
from only1mcp.errors import Only1MCPError

SESSION = "only1mcp/session"
"""What a worker calls when it wants something of a session with a server."""
STREAM = "only1mcp/stream"
"""What a worker calls as long as it holds the stream of a session whose client can be asked."""
TOOLS = "only1mcp/tools"
"""What control calls to know the names of a server's tools."""


@dataclass(frozen=True, slots=True)
class CallFrame:
    """A call on its way from a worker to the host."""

    server_id: str
    method: str
    params: bytes
    era: str
    features: int = 0
    """What the server may ask of the client."""
    session: int = 0
    """The serial of the client's legacy session."""
    level: int | None = None
    """The severity from which on the client wants log messages."""
    token: str | None = None
    """The progress token in the parameters."""
    own: bool = False
    """Whether it must travel on the connection that is the session's own."""
    place: str = ""
    """The number of the process that is to take it; empty for any."""
    principal: str = ""
    """The id of who calls."""

    def encode(self) -> bytes:
        """Write a header line and the parameters."""
        head = [self.server_id, self.method, self.era, self.features, self.session, self.level,
                self.token, self.own, self.place, self.principal]  # fmt: skip
        return orjson.dumps(head) + b"\n" + self.params

    @classmethod
    def decode(cls, payload: bytes) -> "CallFrame":
        """Undo `encode`."""
        header, _, params = payload.partition(b"\n")
        server_id, method, *rest = orjson.loads(header)
        return cls(server_id, method, params, *rest)


_NUMBER = struct.Struct("<Q")


def encode_numbered(number: int, data: bytes) -> bytes:
    """Write a question or an answer behind its number."""
    return _NUMBER.pack(number) + data


def decode_numbered(payload: bytes) -> tuple[int, bytes]:
    """Undo `encode_numbered`."""
    return _NUMBER.unpack_from(payload)[0], payload[_NUMBER.size :]


def encode_failure(error: Only1MCPError) -> bytes:
    """Write one of our failures, as the nearest class that the other process knows too."""
    known = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return orjson.dumps([known.__name__, str(error), error.hint, error.detail])


def decode_failure(payload: bytes) -> Only1MCPError:
    """Undo `encode_failure`."""
    name, message, hint, detail = orjson.loads(payload)
    kind: type[Only1MCPError] = getattr(errors, name)
    assert issubclass(kind, Only1MCPError)
    return kind(message, hint=hint, detail=detail)
