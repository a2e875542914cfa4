"""A real server that keeps state for each session and speaks of it after the calls have ended."""

from collections.abc import Iterator

import pytest

from tests.real.http_server import everything
from tests.support.event_client import EventStream, Subscription
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient

pytestmark = pytest.mark.real
LOGGED, UPDATED = "notifications/message", "notifications/resources/updated"


@pytest.fixture(params=[1, 4], ids=["one worker", "four workers"])
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Run server-everything, and a gateway before it."""
    with everything() as server:
        config = {"servers": [{"id": "real", "url": server.url}]}
        with Gateway(config, workers=request.param) as gateway:
            yield gateway


def _resource(client: McpClient) -> str:
    """Return the address of some resource."""
    _, message = client.request("resources/list")
    return str(message["result"]["resources"][0]["uri"])


def test_a_legacy_client_hears_what_the_server_logs_and_updates_after_its_calls(
    gateway: Gateway,
) -> None:
    """Again and again, as long as it does; the server asks for no call in between."""
    with McpClient(gateway.port) as client:
        session = str(client.initialize().session)
        uri = _resource(client)
        with EventStream(gateway.port, session) as stream:
            client.request("logging/setLevel", level="debug")
            client.request("resources/subscribe", uri=uri)
            client.call("real__toggle-simulated-logging")
            client.call("real__toggle-subscriber-updates")
            heard = {LOGGED: 0, UPDATED: 0}
            while min(heard.values()) < 3:
                message = stream.next()
                assert message is not None
                if message["method"] == UPDATED:
                    assert message["params"]["uri"] == uri
                if "-level message" in str(message) or message["method"] == UPDATED:
                    heard[message["method"]] += 1


def test_a_modern_client_hears_of_updates_after_its_calls(gateway: Gateway) -> None:
    """On its subscription; its calls may be any worker's."""
    with McpClient(gateway.port) as client:
        uri = _resource(client)
        with Subscription(gateway.port, resourceSubscriptions=[uri]) as stream:
            client.call("real__toggle-subscriber-updates")
            for _ in range(3):
                assert stream.until(UPDATED)["params"]["uri"] == uri


def test_a_switch_of_the_server_s_own_is_the_same_for_all_workers(gateway: Gateway) -> None:
    """What one call has turned on the next one turns off, whoever carries it."""
    for turn in range(8):
        with McpClient(gateway.port) as client:
            said = client.call("real__toggle-simulated-logging")
        assert said.startswith("Stopped" if turn % 2 else "Started")
