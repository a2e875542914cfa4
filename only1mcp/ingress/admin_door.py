"""The admin API on the data port: who may ask for what, before anything is passed on to control.

Reads are for administrators; where nobody has to authenticate, for direct callers on this host.
Changes are for keys with `admin: true` alone: without such a key there is nobody who may.
"""

import ipaddress
import logging

from aiohttp import web

from only1mcp.auth.access import Access
from only1mcp.errors import ClientError, Forbidden, InsufficientScope
from only1mcp.ingress.held import Held
from only1mcp.ingress.http_request import PRINCIPAL, body_of, check_sends_json
from only1mcp.ingress.service import Service

_log = logging.getLogger(__name__)
MAX_BODY = 65_536
MAX_ADDRESS = 4096
"""Of the path and the query; control reads twice as much in a line, and no name is so long."""
_FORWARDING = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


class TooLong(ClientError):
    """The body is longer than anything that is asked for here."""

    code = -32600
    http_status = 413
    reason = "too_long"


class AddressTooLong(ClientError):
    """The path and the query are longer than any name that there is here."""

    code = -32600
    http_status = 414
    reason = "uri_too_long"


class AdminDoor:
    """Authorises requests of administrators.

    Args:
        service: passes them on.
        access: says who it is.
        held: bounds the bodies.
    """

    def __init__(self, service: Service, access: Access, held: Held) -> None:
        self._service = service
        self._access = access
        self._held = held

    @property
    def writes(self) -> tuple[str, ...]:
        """The methods that change something; none where nobody can be an administrator."""
        return () if self._access.is_open else ("POST", "DELETE")

    def check(self, request: web.BaseRequest) -> None:
        """Refuse keys that may only use servers: what is told here is about all of them.

        Raises:
            InsufficientScope: it is one of them.
        """
        if not (self._access.is_open or request[PRINCIPAL].is_admin):
            raise InsufficientScope("this key is not an administrator's", hint="set admin: true")

    async def read(self, request: web.BaseRequest) -> tuple[int, bytes]:
        """Answer a question."""
        self.check(request)
        is_near = _is_loopback(request.remote) and not any(
            name in request.headers for name in _FORWARDING
        )
        if self._access.is_open and not is_near:
            raise Forbidden("the admin API answers direct callers on this host only")
        return await self._service.admin(_bounded(request.rel_url.raw_path))

    async def write(self, request: web.BaseRequest) -> tuple[int, bytes]:
        """Have something changed.

        Raises:
            InsufficientScope: not at the wish of this caller.
            UnsupportedMediaType: the body is not sent as JSON, as a form of a web page.
            TooLong: nothing that is asked for here is so long.
            AddressTooLong: likewise.
        """
        self.check(request)
        who, path = request[PRINCIPAL], _bounded(request.rel_url.raw_path_qs)
        if not who.is_admin:  # the last word, whatever comes before
            raise Forbidden("changes take a key of an administrator")
        if request.method == "POST":
            check_sends_json(request)
        async with body_of(request, self._held) as body:
            if len(body) > MAX_BODY:
                message = f"the body is longer than {MAX_BODY} bytes"
                raise TooLong(message, hint="send one JSON object, as docs/operations.md shows")
            status, answer = await self._service.admin(path, request.method, body)
        _log.info(
            "administration", extra={"principal": who.id, "method": request.method,
                                     "path": path[:200], "status": status},
        )  # fmt: skip
        return status, answer


def _bounded(path: str) -> str:
    """Return a path that control can read."""
    if len(path) > MAX_ADDRESS:
        message = f"the path and the query are longer than {MAX_ADDRESS} bytes"
        raise AddressTooLong(message, hint="name one server, and one of its tools")
    return path


def _is_loopback(address: str | None) -> bool:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
