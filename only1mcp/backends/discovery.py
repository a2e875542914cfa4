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
MAX_ITEMS = 100_000
MAX_BYTES = 32 * 1024 * 1024
"""Of all that one server says of itself and lists, as the link to a worker carries it: in one
frame, together with a few hundred bytes of our own."""
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
            async with asyncio.timeout(self._timeout_s):
                return await self._session.request(outgoing)
        except TimeoutError:
            raise BackendTimeout(
                f"no answer to {outgoing.method} within {self._timeout_s:g} s"
            ) from None


class _Budget:
    """What one server may still list."""

    def __init__(self, server_id: str, hello: Hello) -> None:
        self._server_id = server_id
        self._items = MAX_ITEMS
        self._bytes = MAX_BYTES
        said = orjson.dumps([hello.capabilities, hello.info, hello.instructions])
        self._spend("the greeting", 0, len(said))

    def spend(self, method: str, page: tuple[Item, ...]) -> None:
        """Take one page into account.

        Raises:
            BackendProtocolError: it is more than anybody lists in earnest.
        """
        size = sum(len(orjson.dumps([item.key, item.raw.decode()])) + 1 for item in page)
        self._spend(method, len(page), size)

    def _spend(self, what: str, count: int, size: int) -> None:
        self._items -= count
        self._bytes -= size
        if self._items < 0 or self._bytes < 0:
            bound = f"{MAX_ITEMS} items" if self._items < 0 else f"{MAX_BYTES} bytes"
            raise BackendProtocolError(
                f"server {self._server_id} offers too much: with {what} it passes {bound}",
                hint="configure it to offer less",
            )


async def discover_catalogue(server_id: str, hello: Hello, asker: Asker) -> Catalogue:
    """List what a backend offers, as far as its capabilities say.

    Raises:
        BackendError: a list could not be had.
    """
    found: dict[str, tuple[Item, ...]] = {}
    budget = _Budget(server_id, hello)
    for field, (method, result_key, item_key, capability) in _LISTS.items():
        if capability in hello.capabilities:
            found[field] = await _drain(method, result_key, item_key, hello, asker, budget)
    return Catalogue(
        server_id=server_id,
        eras=hello.eras,
        capabilities=hello.capabilities,
        info=hello.info,
        instructions=hello.instructions,
        **found,
    )


async def _drain(
    method: str, key: str, item_key: str, hello: Hello, asker: Asker, budget: _Budget
) -> tuple[Item, ...]:
    """Read all pages of one list."""
    found: list[Item] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        members = (("cursor", orjson.dumps(cursor)),) if cursor else ()
        reply = await asker.request(own_request(method, hello.era, members))
        if not reply.result_end:
            # Servers that announce resources often have no templates: that is an empty list.
            if method == "resources/templates/list":
                return tuple(found)
            raise BackendProtocolError(f"{method} was answered with an error")
        raws, following = items_of(reply, key)
        page = items(raws, item_key)
        budget.spend(method, page)
        found += page
        if following is None or following == cursor:
            return tuple(found)
        cursor = following
    raise BackendProtocolError(f"{method} has more than {MAX_PAGES} pages")
