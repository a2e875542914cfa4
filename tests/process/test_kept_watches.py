"""What legacy sessions watch outlasts the host, shared or on connections of their own."""

import os
import signal
from typing import Any

import pytest

from tests.support.event_client import EventStream
from tests.support.gateway import Gateway
from tests.support.keeping_backend import URI, KeepingBackend
from tests.support.mcp_client import McpClient
from tests.support.waiting import wait_until

UPDATED, LOGGED = "notifications/resources/updated", "notifications/message"
OWN: dict[str, Any] = {"elicitation": {}}


def _gateway(backend: KeepingBackend, workers: int) -> Gateway:
    """Make a gateway before a server that is not asked for its health meanwhile."""
    server = {"id": "k", "transport": "http", "url": backend.url}
    config = {"servers": [{**server, "health_check": {"interval": "1h"}}]}
    return Gateway(config, workers=workers)


def _opened(gateway: Gateway, capabilities: dict[str, Any]) -> str:
    """Open a session that hears of everything that is logged."""
    with McpClient(gateway.port) as client:
        session = str(client.initialize(**capabilities).session)
        assert "result" in client.request("logging/setLevel", level="debug")[1]
    return session


def _ask(gateway: Gateway, session: str, method: str) -> None:
    """Have the resource watched, or no longer, through whatever worker."""
    with McpClient(gateway.port, session) as client:
        assert client.request(method, uri=URI)[1]["result"] == {}


def _speak(gateway: Gateway, session: str, text: str) -> None:
    """Have the server tell of the resource, behind a word that marks the place."""
    with McpClient(gateway.port, session) as client:
        assert client.call("k__speak", text=text) == text


def _said_until(stream: EventStream, mark: str) -> list[str]:
    """Return the methods of what comes up to a mark."""
    methods = []
    while (message := stream.next()) is not None:
        methods.append(message["method"])
        if mark in str(message.get("params")):
            return methods
    raise AssertionError(f"the stream ended without {mark}")


def _replace_host(gateway: Gateway, backend: KeepingBackend) -> None:
    """Kill the host and wait until the next one listens to the server."""
    pid = gateway.processes()["host", 0]["pid"]
    os.kill(pid, signal.SIGKILL)

    def is_replaced() -> bool:
        row = gateway.processes().get(("host", 0), {})
        return bool(row.get("pid", pid) != pid and row["state"] == "ready")

    wait_until(is_replaced, "a new host")
    gateway.wait_up()
    wait_until(lambda: any(kept.is_followed for kept in backend.kept.values()), "the stream")


@pytest.mark.parametrize("capabilities", [{}, OWN], ids=["shared", "own"])
@pytest.mark.parametrize("workers", [1, 4])
def test_what_is_watched_is_told_of_when_the_host_was_killed(
    workers: int, capabilities: dict[str, Any]
) -> None:
    """At once, since something may have been missed, and whenever the server says so; twice."""
    with KeepingBackend() as backend, _gateway(backend, workers) as gateway:
        session = _opened(gateway, capabilities)
        with EventStream(gateway.port, session) as stream:
            _ask(gateway, session, "resources/subscribe")
            for text in ("one", "two"):
                _replace_host(gateway, backend)
                assert stream.until(UPDATED)["params"]["uri"] == URI
                _speak(gateway, session, text)
                _said_until(stream, f"{text} at emergency")
                assert stream.until(UPDATED)["params"]["uri"] == URI


@pytest.mark.parametrize("capabilities", [{}, OWN], ids=["shared", "own"])
def test_what_was_let_go_is_not_watched_again_when_the_host_was_killed(
    capabilities: dict[str, Any],
) -> None:
    """Whichever worker has heard of it."""
    with KeepingBackend() as backend, _gateway(backend, 4) as gateway:
        session = _opened(gateway, capabilities)
        with EventStream(gateway.port, session) as stream:
            for method in ("subscribe", "unsubscribe"):
                _ask(gateway, session, f"resources/{method}")
            _replace_host(gateway, backend)
            _speak(gateway, session, "one")
            _said_until(stream, "one at emergency")
            _speak(gateway, session, "two")
            assert UPDATED not in _said_until(stream, "two at emergency")
        assert not any(backend.kept[known].watched for known in backend.sessions)
