"""Modern clients that can be asked hear of what their own calls update at a legacy server."""

from contextlib import ExitStack
from typing import Any

import pytest

from tests.real.test_own_watches import ONE, OTHER, TRANSPORTS, scene
from tests.support.event_client import Subscription
from tests.support.mcp_client import McpClient

pytestmark = pytest.mark.real
UPDATED = "notifications/resources/updated"
ASKABLE: dict[str, Any] = {"elicitation": {"form": {}}, "sampling": {}, "roots": {}}
TOGGLE = "srv__toggle-subscriber-updates"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_that_can_be_asked_hears_of_updates_after_its_calls(transport: str) -> None:
    """Again and again; the server tells of them on the session of the calls alone."""
    with scene(transport) as stage, ExitStack() as stack:
        client = stack.enter_context(McpClient(stage.gateway.port, capabilities=ASKABLE))
        stream = stack.enter_context(
            Subscription(stage.gateway.port, ASKABLE, resourceSubscriptions=[ONE])
        )
        assert client.call(TOGGLE).startswith("Started")
        for _ in range(3):
            assert stream.until(UPDATED)["params"]["uri"] == ONE
        assert client.call(TOGGLE).startswith("Stopped")


@pytest.mark.parametrize("transport", ["stdio", "streamableHttp"])
def test_what_is_watched_after_a_call_is_heard_of_too(transport: str) -> None:
    """The session of the call is there still, and is told what else is watched."""
    with scene(transport) as stage, ExitStack() as stack:
        client = stack.enter_context(McpClient(stage.gateway.port, capabilities=ASKABLE))
        assert client.call(TOGGLE).startswith("Started")
        stream = stack.enter_context(
            Subscription(stage.gateway.port, ASKABLE, resourceSubscriptions=[OTHER])
        )
        for _ in range(2):
            assert stream.until(UPDATED)["params"]["uri"] == OTHER
