"""What a client is told that it will hear of, it hears of from then on."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import slow_listener
from tests.support.event_client import EventStream, Subscription
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient

UPDATED = "notifications/resources/updated"


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """Return the file that keeps the server from acknowledging."""
    return tmp_path / "hold"


@pytest.fixture
def gateway(hold: Path) -> Iterator[Gateway]:
    """Run a gateway with a server that needs some time before it tells of a resource."""
    config: dict[str, Any] = {
        "stdio": {"allowed_commands": [sys.executable]},
        "servers": [
            {"id": "s", "command": sys.executable, "args": [slow_listener.__file__, str(hold)]}
        ],
    }
    with Gateway(config) as gateway:
        yield gateway


def update(gateway: Gateway) -> None:
    """Let the resource be updated."""
    with McpClient(gateway.port) as client:
        assert client.call("s__update") == "updated"


def test_an_update_right_after_the_acknowledgement_is_heard(gateway: Gateway) -> None:
    """The server was told before the client was."""
    with Subscription(gateway.port, resourceSubscriptions=["r://1"]) as stream:
        update(gateway)
        assert stream.until(UPDATED)["params"]["uri"] == "r://1"


def test_every_session_that_subscribes_hears_of_the_next_update(gateway: Gateway) -> None:
    """Also one that comes while the server is being told because of another."""
    with McpClient(gateway.port) as first, McpClient(gateway.port) as second:
        for client in (first, second):
            client.initialize()
        with EventStream(gateway.port, str(second.session)) as stream:
            first.send("resources/subscribe", uri="r://1")
            second.request("resources/subscribe", uri="r://1")
            update(gateway)
            assert stream.until(UPDATED)["params"]["uri"] == "r://1"
        first.receive()


def test_a_server_that_does_not_acknowledge_is_not_waited_for(gateway: Gateway, hold: Path) -> None:
    """Once it does, the client is told that it may have missed an update."""
    hold.touch()
    with Subscription(gateway.port, resourceSubscriptions=["r://1"]) as stream:
        update(gateway)
        hold.unlink()
        assert stream.until(UPDATED)["params"]["uri"] == "r://1"
