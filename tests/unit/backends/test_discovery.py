"""Asking a backend for everything it offers."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from only1mcp._speedups import Envelope, scan
from only1mcp.backends import discovery
from only1mcp.backends.call import Outgoing
from only1mcp.backends.discovery import discover_catalogue
from only1mcp.backends.handshake import Hello
from only1mcp.errors import BackendLost, BackendProtocolError
from only1mcp.protocol.versions import Era
from tests.support.loop import on_loop

KEYS = {"tools/list": ("tools", "name"), "prompts/list": ("prompts", "name"),
        "resources/list": ("resources", "uri"),
        "resources/templates/list": ("resourceTemplates", "uriTemplate")}  # fmt: skip


class Offering:
    """Implements `Asker`: lists with this many items on pages of this size."""

    def __init__(self, count: int = 0, page_size: int = 100) -> None:
        self._count = count
        self._page_size = page_size
        self.asked: list[tuple[str, str | None]] = []
        self.outgoings: list[Outgoing] = []
        self.special: dict[str, Callable[[str | None], bytes]] = {}
        """Answers of single methods, made from the cursor."""

    async def request(self, outgoing: Outgoing) -> Envelope:
        """Answer one list."""
        params = json.loads(outgoing.params or b"{}")
        cursor = params.get("cursor")
        self.asked.append((outgoing.method, cursor))
        self.outgoings.append(outgoing)
        if outgoing.method in self.special:
            return scan(self.special[outgoing.method](cursor))
        key, item_key = KEYS[outgoing.method]
        start = int(cursor or 0)
        end = min(start + self._page_size, self._count)
        items = [{item_key: f"{key}-{n}"} for n in range(start, end)]
        return scan(result({key: items, **({"nextCursor": str(end)} if end < self._count else {})}))


def result(value: object) -> bytes:
    """Write a response with this result."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode()


def hello(*capabilities: str, era: Era = Era.LEGACY) -> Hello:
    """Return a greeting with these capabilities."""
    offered: dict[str, object] = {name: {} for name in capabilities}
    return Hello(era, "v", offered, {"name": "n"}, "Do.", frozenset({era}))


ERROR = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}'
ALL = ("tools", "prompts", "resources")


@on_loop
async def test_all_pages_of_all_lists_are_read_in_order() -> None:
    """Nothing is left out or doubled."""
    asker = Offering(count=250, page_size=100)
    found = await discover_catalogue("s", hello(*ALL), asker)
    assert [item.key for item in found.tools] == [f"tools-{n}" for n in range(250)]
    assert len(found.prompts) == len(found.resources) == len(found.templates) == 250
    assert [cursor for method, cursor in asker.asked if method == "tools/list"] == [
        None, "100", "200",
    ]  # fmt: skip
    assert (found.server_id, found.info, found.instructions) == ("s", {"name": "n"}, "Do.")
    assert found.eras == {Era.LEGACY}


@pytest.mark.parametrize(
    ("capabilities", "methods"),
    [
        ((), []), (("tools",), ["tools/list"]), (("prompts", "logging"), ["prompts/list"]),
        (("resources",), ["resources/list", "resources/templates/list"]),
    ],
)  # fmt: skip
@on_loop
async def test_only_what_a_backend_can_do_is_asked_for(
    capabilities: tuple[str, ...], methods: list[str]
) -> None:
    """Some servers end on a method that they do not know."""
    asker = Offering(count=1)
    await discover_catalogue("s", hello(*capabilities), asker)
    assert [method for method, _ in asker.asked] == methods


@pytest.mark.parametrize("era", list(Era))
@on_loop
async def test_lists_are_asked_for_in_the_backend_s_era(era: Era) -> None:
    """In our own name."""
    asker = Offering(count=150)
    await discover_catalogue("s", hello("tools", era=era), asker)
    for outgoing in asker.outgoings:
        assert outgoing.era is era
        assert (b"_meta" in outgoing.params) is (era is Era.MODERN)


@on_loop
async def test_completions_are_noted() -> None:
    """They have no list."""
    assert (await discover_catalogue("s", hello("completions"), Offering())).completions
    assert not (await discover_catalogue("s", hello("tools"), Offering())).completions


@on_loop
async def test_a_server_without_a_template_list_has_none() -> None:
    """Many announce resources and answer this one with an error."""
    asker = Offering(count=2)
    asker.special["resources/templates/list"] = lambda cursor: ERROR
    found = await discover_catalogue("s", hello("resources"), asker)
    assert (len(found.resources), found.templates) == (2, ())


@pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/list"])
@on_loop
async def test_another_list_that_is_refused_is_an_error(method: str) -> None:
    """The catalogue would be wrong without it."""
    asker = Offering(count=1)
    asker.special[method] = lambda cursor: ERROR
    with pytest.raises(BackendProtocolError, match=f"{method} was answered with an error"):
        await discover_catalogue("s", hello(*ALL), asker)


@on_loop
async def test_a_cursor_that_repeats_itself_ends_the_list() -> None:
    """Rather than never."""
    asker = Offering()
    page: dict[str, Any] = {"tools": [{"name": "x"}], "nextCursor": "again"}
    asker.special["tools/list"] = lambda cursor: result(page)
    found = await discover_catalogue("s", hello("tools"), asker)
    assert [item.key for item in found.tools] == ["x", "x"]


@on_loop
async def test_a_list_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After very many pages."""
    monkeypatch.setattr(discovery, "MAX_PAGES", 5)
    asker = Offering()
    asker.special["tools/list"] = lambda cursor: result(
        {"tools": [], "nextCursor": f"{cursor}x"[-200:]}
    )
    with pytest.raises(BackendProtocolError, match="more than 5 pages"):
        await discover_catalogue("s", hello("tools"), asker)
    assert len(asker.asked) == 5


@on_loop
async def test_items_that_are_none_are_left_out() -> None:
    """The rest of the list is good."""
    asker = Offering()
    asker.special["tools/list"] = lambda cursor: result(
        {"tools": [1, {}, {"name": 3}, {"name": "x", "n": 1.5}, None]}
    )
    found = await discover_catalogue("s", hello("tools"), asker)
    assert [item.key for item in found.tools] == ["x"]


@on_loop
async def test_a_failure_on_the_way_is_the_caller_s_to_handle() -> None:
    """Nothing half-read is returned."""

    class Gone(Offering):
        async def request(self, outgoing: Outgoing) -> Envelope:
            raise BackendLost("gone")

    with pytest.raises(BackendLost):
        await discover_catalogue("s", hello("tools"), Gone())
