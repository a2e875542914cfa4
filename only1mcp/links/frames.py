"""The frames of a link: a length, a kind, a token, a payload."""

import enum
import struct

_HEAD = struct.Struct("<IBQ")
HEAD_BYTES = _HEAD.size
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024


class Kind(enum.IntEnum):
    """What a frame is."""

    CALL = 1
    """Worker to host: a header line of JSON, then the parameters."""
    CANCEL = 2
    """Worker to host: the caller of this token has gone."""
    REPLY = 3
    """Host to worker: the backend's response to the call of this token."""
    FAILED = 4
    """To the caller of this token: it failed; the host says how, a worker that it has no such
    stream."""
    EVENT = 5
    """Host to worker: something that concerns no single call."""
    NOTE = 6
    """Worker to host: something that concerns no single call."""
    MESSAGE = 7
    """To the caller of this token: a message before the end."""
    ASK = 8
    """Host to worker: the backend asks the caller of this token; a number, then the request."""
    RESPOND = 9
    """Worker to host: the answer to that; the number, then the member of the response."""
    FORWARD = 10
    """Worker to worker: a client's request; a header line of JSON, then the body."""
    OPEN = 11
    """Worker to worker: the stream of the forwarded request begins."""
    ANSWER = 12
    """Worker to worker: the answer to the forwarded request; a header line, then the body."""
    END = 13
    """Worker to worker: the stream ends without an answer."""
    POST = 14
    """Worker to worker: a message for a channel that the other one holds; like `FORWARD`."""
    CARRY = 15
    """Worker to host: a call of the fast lane; the server's slot, then what follows the id."""
    CARRIED = 16
    """Host to worker: the result of such a call, behind a byte that says what type it has."""
    DECLINED = 17
    """Host to worker: such a call was not sent, and may be in the common way."""


class FrameError(ValueError):
    """The bytes are no frame of ours."""


def fits(payload: bytes) -> bool:
    """Say whether a frame can carry this."""
    return len(payload) <= MAX_PAYLOAD_BYTES


def encode(kind: Kind, token: int, payload: bytes) -> bytes:
    """Write one frame.

    Raises:
        FrameError: it is too large; whoever read it would close the link.
    """
    if not fits(payload):
        raise FrameError(f"a payload of {len(payload)} bytes")
    return _HEAD.pack(len(payload), kind, token) + payload


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Kind, int, bytes]]:
        """Return the frames that these bytes complete.

        Raises:
            FrameError: the stream is not one of ours; the link must be closed.
        """
        buffer = self._buffer
        buffer += data
        frames, at = [], 0
        while len(buffer) - at >= HEAD_BYTES:
            length, kind, token = _HEAD.unpack_from(buffer, at)
            if length > MAX_PAYLOAD_BYTES:
                raise FrameError(f"a frame of {length} bytes")
            end = at + HEAD_BYTES + length
            if len(buffer) < end:
                break
            try:
                frames.append((Kind(kind), token, bytes(buffer[at + HEAD_BYTES : end])))
            except ValueError:
                raise FrameError(f"a frame of kind {kind}") from None
            at = end
        if at:
            del buffer[:at]
        return frames
