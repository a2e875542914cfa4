"""A legacy session, sealed into its own id.

The id that a client carries is the whole session, encrypted and authenticated (AES-256-GCM). Any
worker opens it, and it outlives restarts as long as the key file does. It is not a credential.
Source of the id's form: 2025-11-25, basic/transports (visible ASCII).
"""

import base64
import os
from collections import OrderedDict
from dataclasses import dataclass, field

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from only1mcp.errors import InvalidParams, SessionNotFound
from only1mcp.protocol.client_features import Feature, read_features
from only1mcp.protocol.task_members import CORE_SINCE

MAX_AGE_S = 7 * 24 * 3600
MAX_CLIENT_BYTES = 4096
"""Bound on capabilities and client info together: they travel in a header with every request."""
_KEY_ID = b"1"
_NONCE_BYTES = 12
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Session:
    """What `initialize` settled."""

    serial: int
    """A random number that names the session; never 0."""
    created: int
    """Whole seconds of the wall clock."""
    version: str
    capabilities: bytes
    """The client's capabilities, as its own JSON."""
    client_info: bytes
    """The client's name and version, as its own JSON; may be empty."""
    principal: str = ""
    """The id of who opened it; nobody else may use it."""
    features: Feature = field(init=False)
    """What servers may ask of the client, as `capabilities` say."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", read_features(self.capabilities))

    @property
    def knows_tasks(self) -> bool:
        """Whether the revision has tasks, as a part of the core."""
        return self.version >= CORE_SINCE

    @property
    def expires(self) -> int:
        """When the id stops being valid, in seconds of the wall clock."""
        return self.created + MAX_AGE_S


class SessionSealer:
    """Turns sessions into ids and back."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._opened: OrderedDict[str, Session] = OrderedDict()

    def create(
        self, version: str, capabilities: bytes, client_info: bytes, now: int, principal: str = ""
    ) -> Session:
        """Make a new session.

        Raises:
            InvalidParams: the client says more about itself than a header can carry.
        """
        if len(capabilities) + len(client_info) > MAX_CLIENT_BYTES:
            raise InvalidParams(
                f"capabilities and clientInfo together pass {MAX_CLIENT_BYTES} bytes"
            )
        serial = int.from_bytes(os.urandom(8)) | 1
        return Session(serial, now, version, capabilities, client_info, principal)

    def seal(self, session: Session) -> str:
        """Return the id that carries the session."""
        plain = orjson.dumps(
            [session.serial, session.created, session.version,
             session.capabilities.decode(), session.client_info.decode(), session.principal]
        )  # fmt: skip
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, plain, _KEY_ID)
        return f"{_KEY_ID.decode()}.{_encode(sealed)}"

    def open(self, session_id: str, now: int) -> Session:
        """Return the session that an id carries.

        Raises:
            SessionNotFound: the id was not made with our key, was altered, or has expired.
        """
        session = self._opened.get(session_id)
        if session is None:
            session = self._unseal(session_id)
            self._opened[session_id] = session
            if len(self._opened) > _REMEMBERED:
                self._opened.popitem(last=False)
        if session.expires <= now:
            raise SessionNotFound("the session has expired", hint="initialize again")
        return session

    def _unseal(self, session_id: str) -> Session:
        try:
            key_id, _, text = session_id.partition(".")
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if _encode(sealed) != text:
                raise ValueError("not the one spelling of these bytes")  # noqa: TRY301 - one way out
            nonce, secret = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            plain = orjson.loads(self._cipher.decrypt(nonce, secret, key_id.encode()))
        except (InvalidTag, ValueError) as error:
            raise SessionNotFound("unknown session", hint="initialize again") from error
        serial, created, version, capabilities, client_info, *rest = plain
        return Session(serial, created, version, capabilities.encode(), client_info.encode(), *rest)


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
