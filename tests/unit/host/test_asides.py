"""What servers have said to workers, as the host takes it."""

from dataclasses import replace
from typing import Any

from aiohttp import ClientSession

from only1mcp.host.asides import MOST_URIS, Asides
from only1mcp.host.feed import Feed
from only1mcp.host.http_server import HttpServer
from only1mcp.host.roster import Roster
from only1mcp.host.status import Observer
from only1mcp.registry.server import Instance
from only1mcp.transports.streamable_http import make_client
from tests.support.catalogues import server
from tests.support.feeding import Ears, hearing
from tests.support.loop import eventually, on_loop

TOOLS, PROMPTS = "notifications/tools/list_changed", "notifications/prompts/list_changed"


class Subject:
    """The host's server, with or without a feed; two of its resources are watched."""

    def __init__(self, ears: Ears, feed: Feed | None, client: ClientSession) -> None:
        self.updated: list[tuple[Any, ...]] = []
        roster = Roster(Observer(), ears.tasks, client)
        places = (Instance("http://127.0.0.1:9/mcp"),)
        declared = replace(server("srv"), transport="http", instances=places)
        (made,) = roster.follow([declared], lambda: True)
        assert isinstance(made, HttpServer)
        made.feed = feed
        self.asides = Asides(roster, self._watched, self._on_updated)

    def _watched(self, server_id: str) -> list[str]:
        return [f"{server_id}://1", f"{server_id}://2", f"{server_id}://1"]

    def _on_updated(self, *what: object) -> None:
        self.updated.append(what)


@on_loop
async def test_lists_are_read_again_and_watchers_are_told() -> None:
    """As if the server had told the host."""
    async with hearing() as ears, make_client() as client:
        subject = Subject(ears, ears.feed, client)
        subject.asides.take("srv", [PROMPTS, TOOLS], ["srv://1/part", "srv://9"])
        assert subject.updated == [("srv", "srv://1/part", b'{"uri":"srv://1/part"}')]
        await eventually(lambda: ears.relisted != [], "the lists to be read")
        assert ears.relisted == [frozenset({"tools", "prompts"})]


@on_loop
async def test_so_many_updates_that_none_is_named_are_of_all_that_is_watched() -> None:
    """Each is told of once."""
    async with hearing() as ears, make_client() as client:
        subject = Subject(ears, ears.feed, client)
        for uris in (None, [f"x{number}" for number in range(MOST_URIS + 1)]):
            subject.updated.clear()
            subject.asides.take("srv", [], uris)
            assert sorted(uri for _, uri, _ in subject.updated) == ["srv://1", "srv://2"]
        assert ears.relisted == []


@on_loop
async def test_of_a_server_that_is_down_lists_are_not_read_now() -> None:
    """They are when it is back; of one that is configured no more nothing counts."""
    async with hearing() as ears, make_client() as client:
        subject = Subject(ears, None, client)
        subject.asides.take("srv", [TOOLS], ["srv://1"])
        subject.asides.take("gone", [TOOLS], ["srv://1"])
        assert subject.updated == [("srv", "srv://1", b'{"uri":"srv://1"}')]
        assert ears.relisted == []
