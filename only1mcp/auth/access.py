"""The one place where credentials become a principal (RFC 6750, section 2.1: the header alone).

A credential is looked at once and remembered by its SHA-256 until credentials are revoked. What is
not known is not remembered: whoever guesses cannot fill the memory.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence

from only1mcp.auth.grant import Grant
from only1mcp.auth.principal import ANYONE, Key, Principal
from only1mcp.errors import InvalidCredentials, Unauthenticated
from only1mcp.resilience.limiter import Rate

MAX_BYTES = 4096
"""Of one credential."""
_REMEMBERED = 4096
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")
_HINT = "send Authorization: Bearer <key>; only1mcp keys new makes one"


class Access:
    """Who may come in.

    Args:
        revoked: one word, which grows whenever credentials stop being good before their time.
    """

    def __init__(self, revoked: "Sequence[int]" = (0,)) -> None:
        self._principals: dict[bytes, Principal] = {}
        """The owner of each key, by the key's SHA-256; none where anyone may come."""
        self._by_id: dict[str, Principal] = {}
        self._known: dict[bytes, Principal] = {}
        self._revoked = revoked
        self._epoch = revoked[0]
        self._anyone = ANYONE

    def follow(self, keys: Iterable[Key], default: Rate | None, places: Mapping[str, int]) -> None:
        """Let the owners of these keys in from now on, or anyone where there are none.

        Args:
            keys: as they are configured.
            default: the rate of those that have none of their own.
            places: where in shared memory each is counted, by id.
        """
        self._principals = {
            bytes.fromhex(key.digest): Principal(
                key.id, places[key.id], Grant(key.servers, key.tools), key.rate or default,
                key.is_admin,
            )
            for key in keys
        }  # fmt: skip
        self._by_id = {principal.id: principal for principal in self._principals.values()}
        self._anyone = Principal("", rate=default)
        self._known.clear()

    @property
    def is_open(self) -> bool:
        """Whether anyone may come in."""
        return not self._principals

    @property
    def anyone(self) -> Principal:
        """Who calls where anyone may come."""
        return self._anyone

    def admit(self, sent: Sequence[str]) -> Principal:
        """Return who sent a request.

        Args:
            sent: the values of its Authorization headers.

        Raises:
            Unauthenticated: there is no such header, more than one, or nobody's credential.
        """
        if self.is_open:
            return self._anyone
        if not sent:
            raise Unauthenticated("a key is needed here", hint=_HINT)
        match = _BEARER.fullmatch(sent[0]) if len(sent[0]) <= MAX_BYTES else None
        principal = self._owner(match.group(1)) if match is not None and len(sent) == 1 else None
        if principal is None:
            raise InvalidCredentials("the key is not known", hint=_HINT)
        return principal

    def forwarded(self, principal_id: str) -> Principal:
        """Return who it is that another worker has let in.

        Raises:
            Unauthenticated: nobody of this name is known here.
        """
        return self.check(Principal(principal_id))

    def check(self, principal: Principal) -> Principal:
        """Let nobody pass whom `admit` has not let in, whatever way the request took.

        Raises:
            Unauthenticated: the principal is none of ours.
        """
        known = self._anyone if self.is_open else self._by_id.get(principal.id)
        if known is None or known.id != principal.id:
            raise Unauthenticated("a key is needed here", hint=_HINT)
        return known

    def _owner(self, key: str) -> Principal | None:
        if self._revoked[0] != self._epoch:
            self._epoch = self._revoked[0]
            self._known.clear()
        digest = hashlib.sha256(key.encode()).digest()
        found = self._known.get(digest)
        if found is None:
            found = self._look_up(digest)
            if found is not None and len(self._known) < _REMEMBERED:
                self._known[digest] = found
        return found

    def _look_up(self, digest: bytes) -> Principal | None:
        """Compare with every key, in a time that tells nothing of them."""
        found = None
        for known, principal in self._principals.items():
            if hmac.compare_digest(known, digest):
                found = principal
        return found
