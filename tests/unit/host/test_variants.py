"""What legacy servers offer to clients of which they can ask something."""

import asyncio

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.backends.handshake import Hello
from only1mcp.host.pool import Pool
from only1mcp.host.variants import Variants
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks
from tests.support.loop import eventually, on_loop
from tests.support.swimming import FakeMember

FORM = Feature.ELICIT_FORM


class Listed(FakeMember):
    """A connection on which tools are listed when the test says."""

    async def hello(self) -> Hello:
        """Return what the server said."""
        return Hello(Era.LEGACY, "2025-11-25", {"tools": {}})

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Take a request; who asked has gone when it is cancelled after its end."""
        self.calls.append((outgoing, sink))
        return lambda: None

    def tools(self, name: str) -> None:
        """Answer the oldest request with one tool."""
        self.calls.pop(0)[1].on_reply(listing(name))


def listing(name: str) -> Envelope:
    """Write a list."""
    return scan(b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"%b"}]}}' % name.encode())


class Place:
    """A server, and the connections to it."""

    def __init__(self, tasks: Tasks) -> None:
        self.server = Server("srv", "stdio", "srv")
        self.members: list[Listed] = []
        self.pool = Pool("srv", self._make, 5, tasks)

    def _make(self, features: Feature) -> Listed:
        self.members.append(Listed(features, 0))
        return self.members[-1]

    def asked(self) -> list[Listed]:
        """Return the connections on which the server is being asked."""
        return [member for member in self.members if member.calls]


@on_loop
async def test_the_later_list_is_known_and_not_the_slower_one() -> None:
    """One server is asked once at a time, and once more for all changes meanwhile."""
    tasks, known = Tasks(), list[tuple[Feature, Catalogue]]()
    place, subject = Place(tasks), Variants(lambda *variant: known.append(variant))
    first = tasks.spawn(subject.learn(FORM, [place]))
    await eventually(place.asked, "the first question")
    again = [tasks.spawn(subject.relearn(place)) for _ in range(3)]
    await eventually(again[2].done, "the changes that are asked for already")
    assert [member.features for member in place.asked()] == [FORM]
    place.asked()[0].tools("old")
    await first
    await eventually(place.asked, "the second question")
    place.asked()[0].tools("new")
    await asyncio.wait(again)
    assert [catalogue.tools[0].key for _, catalogue in known] == ["old", "new"]
    assert subject.known[FORM, "srv"].tools[0].key == "new"
    await place.pool.close()
