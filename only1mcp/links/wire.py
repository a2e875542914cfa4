"""What frames carry: calls and failures as bytes."""

from dataclasses import dataclass

import orjson

from only1mcp import errors
from only1mcp.errors import Only1MCPError


@dataclass(frozen=True, slots=True)
class CallFrame:
    """A call on its way from a worker to the host."""

    server_id: str
    method: str
    params: bytes
    era: str

    def encode(self) -> bytes:
        """Write a header line and the parameters."""
        return orjson.dumps([self.server_id, self.method, self.era]) + b"\n" + self.params

    @classmethod
    def decode(cls, payload: bytes) -> "CallFrame":
        """Undo `encode`."""
        header, _, params = payload.partition(b"\n")
        server_id, method, era = orjson.loads(header)
        return cls(server_id, method, params, era)


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
