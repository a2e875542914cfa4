"""Who hears of updates that a server tells on the connection of one client's calls."""

from typing import Any

from only1mcp.protocol.client_features import Feature
from tests.support.loop import on_loop
from tests.support.messages import OWN
from tests.unit.proxy.test_audience import listen, make_desk


@on_loop
async def test_what_a_client_s_own_connection_tells_is_for_its_streams_alone() -> None:
    """It is known by its principal and what it can be asked."""
    desk = make_desk()
    bare = listen(desk, resourceSubscriptions=["r://1"])
    wanted = {"resourceSubscriptions": ["r://1"]}
    meta: dict[str, Any] = {OWN + "clientCapabilities": {"elicitation": {"form": {}}}}
    asked = desk.modern("subscriptions/listen", {"notifications": wanted, "_meta": meta})
    before = len(bare.messages), len(asked.messages)
    for caller in (("ann", int(Feature.ELICIT_FORM)), ("", int(Feature.ROOTS))):
        desk.audience.updated("r://1", b'{"uri":"r://1"}', frozenset(), "", caller)
    assert (len(bare.messages), len(asked.messages)) == before
    caller = ("", int(Feature.ELICIT_FORM))
    desk.audience.updated("r://1", b'{"uri":"r://1"}', frozenset(), "", caller)
    assert len(bare.messages) == before[0]
    assert asked.messages[-1]["method"] == "notifications/resources/updated"
