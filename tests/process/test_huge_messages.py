"""A stdio server that says more than anybody holds costs one call, and no connection."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import huge_child
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient, said


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run a gateway with such a server; every test leaves it as it was."""
    config: dict[str, Any] = {
        "stdio": {"allowed_commands": [sys.executable]},
        "servers": [{"id": "h", "command": sys.executable, "args": [huge_child.__file__]}],
    }
    with Gateway(config) as gateway:
        yield gateway


def pids(gateway: Gateway) -> tuple[str, list[int]]:
    """Return the process that answers, and those that passed the answer on."""
    with McpClient(gateway.port) as client:
        return client.call("h__say"), [*gateway.pids("host"), *gateway.pids("worker")]


@pytest.mark.parametrize("what", ["first", "last"])
def test_an_answer_that_is_too_large_fails_its_call_alone(gateway: Gateway, what: str) -> None:
    """Wherever its id stands; calls on the same process go on."""
    before = pids(gateway)
    with McpClient(gateway.port) as client:
        with pytest.raises(CallFailed, match="bytes, which is too large"):
            client.call("h__say", what=what)
        assert client.call("h__say") == before[0]
    assert pids(gateway) == before


@pytest.mark.parametrize("what", ["progress", "log"])
def test_a_notification_that_is_too_large_is_dropped(gateway: Gateway, what: str) -> None:
    """The call that it is about is answered all the same."""
    before = pids(gateway)
    with McpClient(gateway.port) as client:
        params = {"arguments": {"what": what}, "_meta": {"progressToken": 1}}
        client.initialize()
        assert said(*client.request("tools/call", name="h__say", **params)) == before[0]
    assert pids(gateway) == before


def test_a_question_that_is_too_large_is_refused_at_the_server(gateway: Gateway) -> None:
    """It hears why, and can end its call."""
    before = pids(gateway)
    with McpClient(gateway.port) as client:
        client.initialize(elicitation={})
        assert client.session
        assert "which is too large" in client.call("h__say", what="question")
    assert pids(gateway) == before
