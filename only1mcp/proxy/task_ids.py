"""The ids under which clients know tasks: each names the server whose task it is.

A client must be able to use an id in any worker, and after a restart, so nobody remembers it: it is
sealed like a session id, and can neither be read nor made up. The same task always has the same id,
which clients compare; hence a cipher without a nonce (AES-SIV, RFC 5297).
"""

import base64
from dataclasses import astuple, dataclass

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from only1mcp.errors import BackendProtocolError, InvalidParams

PREFIX = "o1t."
MAX_BYTES = 1024
"""Bound on a server's own id: ours travels in a header."""
_PURPOSE = b"only1mcp tasks"
_KEY_BYTES = 64
_TASK, _CURSOR, _TOKEN = b"task", b"cursor", b"token"


@dataclass(frozen=True, slots=True)
class TaskRef:
    """What an id of ours says."""

    server_id: str
    task_id: str
    """The server's own id."""
    serial: int = 0
    """The legacy session that the task belongs to; 0 for a task of the modern era."""
    place: str = ""
    """The instance that holds the task, of a server with several."""
    owner: str = ""
    """The id of who began a task of the modern era."""


class TaskIds:
    """Turns what names a task into what a client may hold, and back.

    Args:
        key: the one that seals session ids; a key of our own is made of it.
    """

    def __init__(self, key: bytes) -> None:
        own = HKDF(SHA256(), _KEY_BYTES, salt=None, info=_PURPOSE).derive(key)
        self._cipher = AESSIV(own)

    def seal(self, ref: TaskRef) -> str:
        """Return the id of a task.

        Raises:
            BackendProtocolError: the server's id is longer than any header should be.
        """
        if len(ref.task_id.encode()) > MAX_BYTES:
            raise BackendProtocolError(
                f"server {ref.server_id} named a task with more than {MAX_BYTES} bytes"
            )
        return PREFIX + self._seal(_TASK, orjson.dumps(astuple(ref)))

    def open(self, task_id: str) -> TaskRef:
        """Return what an id says.

        Raises:
            InvalidParams: it is not ours, or was altered.
        """
        raw = self._open(_TASK, task_id.removeprefix(PREFIX)) if task_id[:4] == PREFIX else None
        if raw is None:
            raise unknown_task()
        return TaskRef(*orjson.loads(raw))

    def seal_cursor(self, server_id: str, cursor: str | None) -> str:
        """Name the place where a merged list of tasks goes on: a server, and its own cursor."""
        return self._seal(_CURSOR, orjson.dumps([server_id, cursor]))

    def open_cursor(self, cursor: str) -> tuple[str, str | None]:
        """Return what a cursor says.

        Raises:
            InvalidParams: it is not ours, or was altered.
        """
        raw = self._open(_CURSOR, cursor)
        if raw is None:
            raise InvalidParams("the cursor is not valid", hint="list again from the start")
        server_id, theirs = orjson.loads(raw)
        return server_id, theirs

    def seal_token(self, serial: int, token: bytes) -> bytes:
        """Return a progress token, as JSON, that still says whose it is when its call has ended."""
        return b'"%b"' % self._seal(_TOKEN, b"%d %b" % (serial, token)).encode()

    def open_token(self, token: str) -> tuple[int, bytes] | None:
        """Return the session and the client's own token; None for a token that is none of these."""
        raw = self._open(_TOKEN, token)
        if raw is None:
            return None
        serial, _, own = raw.partition(b" ")
        return int(serial), own

    def _seal(self, kind: bytes, plain: bytes) -> str:
        return _encode(self._cipher.encrypt(plain, [kind]))

    def _open(self, kind: bytes, text: str) -> bytes | None:
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if _encode(sealed) != text:  # not the one spelling of these bytes
                return None
            return self._cipher.decrypt(sealed, [kind])
        except (InvalidTag, ValueError):
            return None


def unknown_task() -> InvalidParams:
    """Say that there is no such task, whatever the reason."""
    return InvalidParams("unknown task", hint="it may have ended; call the tool again")


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
