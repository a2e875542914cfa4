"""Asking a backend for everything it offers."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from only1mcp._speedups import Envelope, scan
from only1mcp.backends import discovery
from only1mcp.backends.call import Outgoing
from only1mcp.backends.discovery import MAX_BYTES, Deadline, discover_catalogue
from only1mcp.backends.handshake import Hello
from only1mcp.errors import BackendLost, BackendProtocolError, BackendTimeout
from only1mcp.links.frames import MAX_PAYLOAD_BYTES
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
async def test_what_has_no_list_is_noted_as_a_capability() -> None:
    """Such as completions."""
    asker = Offering()
    found = await discover_catalogue("s", hello("completions"), asker)
    assert (found.capabilities, asker.asked) == ({"completions": {}}, [])


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


@on_loop
async def test_more_items_than_anybody_lists_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """All lists of a server together; the error says which one went too far, and what to do."""
    monkeypatch.setattr(discovery, "MAX_ITEMS", 500)
    assert len((await discover_catalogue("s", hello("tools"), Offering(count=500))).tools) == 500
    with pytest.raises(BackendProtocolError) as caught:
        await discover_catalogue("big", hello("tools", "prompts"), Offering(count=251))
    assert "big" in str(caught.value)
    assert "prompts/list" in str(caught.value)
    assert "500 items" in str(caught.value)
    assert caught.value.hint


@on_loop
async def test_a_list_that_grows_and_grows_is_an_error_before_it_fills_the_memory() -> None:
    """Each page alone is small enough."""
    asker = Offering()
    page = [{"name": "x" * 1024 * 1024} for _ in range(8)]
    asker.special["tools/list"] = lambda cursor: result({"tools": page, "nextCursor": f"{cursor}x"})
    with pytest.raises(BackendProtocolError, match=f"tools/list it passes {MAX_BYTES} bytes"):
        await discover_catalogue("s", hello("tools"), asker)
    assert len(asker.asked) * 8 * 1024 * 1024 <= MAX_BYTES


@on_loop
async def test_a_greeting_counts_too() -> None:
    """Workers are told of it together with the lists."""
    wordy = replace(hello("tools"), instructions="x" * MAX_BYTES)
    with pytest.raises(BackendProtocolError, match="the greeting"):
        await discover_catalogue("s", wordy, Offering(count=1))


@pytest.mark.parametrize("name", ['"', "\\", "\x01", "é", "a"], ids=ascii)
@on_loop
async def test_all_that_is_accepted_fits_into_one_frame_to_a_worker(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much longer a link writes what a server has written."""
    bound, own = 100_000, 1000
    assert MAX_BYTES + own < MAX_PAYLOAD_BYTES
    monkeypatch.setattr(discovery, "MAX_BYTES", bound)
    sizes: list[int] = []

    async def offer_more_and_more() -> None:
        asker, tools = Offering(), [{"name": name * 1000}]
        asker.special["tools/list"] = lambda cursor: result({"tools": tools})
        while True:
            found = await discover_catalogue("s", hello("tools"), asker)
            sizes.append(len(orjson.dumps({"variant": 7, "catalogue": found.to_plain()})))
            tools.append(tools[0])

    with pytest.raises(BackendProtocolError):
        await offer_more_and_more()
    assert 0.8 * bound < sizes[-1] < bound + own


@on_loop
async def test_each_question_of_ours_has_its_time() -> None:
    """What takes longer is given up, and named."""

    class Slow(Offering):
        cancelled = 0

        async def request(self, outgoing: Outgoing) -> Envelope:
            if outgoing.method == "tools/list":
                return await super().request(outgoing)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            raise AssertionError

    slow = Slow(count=1)
    asker = Deadline(slow, 0.02)
    with pytest.raises(BackendTimeout, match=r"no answer to prompts/list within 0\.02 s"):
        await discover_catalogue("s", hello("tools", "prompts"), asker)
    assert (len(slow.asked), slow.cancelled) == (1, 1)
