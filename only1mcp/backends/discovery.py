"""Asking one backend for everything it offers."""

import asyncio
from typing import Protocol

import orjson

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Outgoing
from only1mcp.backends.handshake import Hello, own_request
from only1mcp.errors import BackendProtocolError, BackendTimeout
from only1mcp.protocol.translate import items_of
from only1mcp.registry.catalogue import Catalogue, Item, items

MAX_PAGES = 1000
_LISTS = {
    # field of the catalogue: method, key of the result, key of an item, capability
    "tools": ("tools/list", "tools", "name", "tools"),
    "prompts": ("prompts/list", "prompts", "name", "prompts"),
    "resources": ("resources/list", "resources", "uri", "resources"),
    "templates": (
        "resources/templates/list", "resourceTemplates", "uriTemplate", "resources",
    ),
}  # fmt: skip


class Asker(Protocol):
    """A session on which we ask in our own name."""

    async def request(self, outgoing: Outgoing) -> Envelope:
        """Send a request and return the response."""


class Deadline:
    """Asks on a session, each request within a time."""

    def __init__(self, session: Asker, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s

    async def request(self, outgoing: Outgoing) -> Envelope:
        """Send a request and return the response.

        Raises:
            BackendTimeout: it did not come in time.
        """
        try:
            return await asyncio.wait_for(self._session.request(outgoing), self._timeout_s)
        except TimeoutError:
            raise BackendTimeout(
                f"no answer to {outgoing.method} within {self._timeout_s:g} s"
            ) from None


async def discover_catalogue(server_id: str, hello: Hello, asker: Asker) -> Catalogue:
    """List what a backend offers, as far as its capabilities say.

    Raises:
        BackendError: a list could not be had.
    """
    found: dict[str, tuple[Item, ...]] = {}
    for field, (method, result_key, item_key, capability) in _LISTS.items():
        if capability in hello.capabilities:
            raws = await _drain(method, result_key, hello, asker)
            found[field] = items(raws, item_key)
    return Catalogue(
        server_id=server_id,
        eras=hello.eras,
        capabilities=hello.capabilities,
        info=hello.info,
        instructions=hello.instructions,
        completions="completions" in hello.capabilities,
        **found,
    )


async def _drain(method: str, key: str, hello: Hello, asker: Asker) -> list[bytes]:
    """Read all pages of one list."""
    raws: list[bytes] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        members = (("cursor", orjson.dumps(cursor)),) if cursor else ()
        reply = await asker.request(own_request(method, hello.era, members))
        if not reply.result_end:
            # Servers that announce resources often have no templates: that is an empty list.
            if method == "resources/templates/list":
                return raws
            raise BackendProtocolError(f"{method} was answered with an error")
        page, following = items_of(reply, key)
        raws += page
        if following is None or following == cursor:
            return raws
        cursor = following
    raise BackendProtocolError(f"{method} has more than {MAX_PAGES} pages")
