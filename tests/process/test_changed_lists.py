"""Clients hear of changed lists when they can see the change: what they are told then is new."""

import sys
from pathlib import Path

import pytest

from tests.support import stdio_child, varied_child
from tests.support.event_client import EventStream
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient

CHANGED = "notifications/tools/list_changed"


@pytest.fixture
def offer(tmp_path: Path) -> Path:
    """Return the directory of a server that offers a tool to all, and one to who can be asked."""
    (tmp_path / "tools").write_text("tell")
    (tmp_path / "asked").write_text("ask")
    return tmp_path


def running(offer: Path) -> Gateway:
    """Return a gateway with that server, whose start nobody waits for."""
    config = {
        "proxy": {"handshake_timeout": "20s"},
        "stdio": {"allowed_commands": [sys.executable]},
        "servers": [
            {"id": "v", "command": sys.executable, "args": [varied_child.__file__, str(offer)]},
        ],
    }
    return Gateway(config, workers=1, wait_for=())


def test_an_offer_that_is_found_out_late_is_announced_to_who_gets_it(offer: Path) -> None:
    """The server said that its tools have changed before it could be asked for them."""
    with running(offer) as gateway, McpClient(gateway.port) as client:
        gateway.wait_up("v")
        client.initialize(elicitation={})
        assert client.tools() == ["v__tell", "v__ask"]
        with EventStream(gateway.port, str(client.session)) as stream:
            (offer / "hold").touch()
            (offer / "asked").write_text("ask more")
            with McpClient(gateway.port) as another:
                another.call("v__tell")
            stream.until(CHANGED)
            assert client.tools() == ["v__tell", "v__ask"]
            (offer / "hold").unlink()
            stream.until(CHANGED)
            assert client.tools() == ["v__tell", "v__ask", "v__more"]


def test_a_server_that_starts_late_is_announced(offer: Path) -> None:
    """To clients that were answered without it."""
    (offer / "late").touch()
    with running(offer) as gateway, McpClient(gateway.port) as client:
        client.initialize()
        assert client.tools() == []
        with EventStream(gateway.port, str(client.session)) as stream:
            (offer / "late").unlink()
            stream.until(CHANGED)
            assert client.tools() == ["v__tell"]


def test_a_list_that_changes_on_a_client_s_own_connection_is_looked_at_again(offer: Path) -> None:
    """The server says so there, and to nobody else."""
    with running(offer) as gateway, McpClient(gateway.port) as client:
        gateway.wait_up("v")
        client.initialize(elicitation={})
        assert client.tools() == ["v__tell", "v__ask"]
        with EventStream(gateway.port, str(client.session)) as stream:
            (offer / "asked").write_text("ask more")
            client.call("v__tell")
            stream.until(CHANGED)
            assert client.tools() == ["v__tell", "v__ask", "v__more"]


def test_a_list_that_is_another_on_one_connection_alone_is_told_of_there() -> None:
    """A process of a client's own may have tools that no other has: its client hears each time."""
    config = {
        "stdio": {"allowed_commands": [sys.executable]},
        "servers": [{"id": "srv", "command": sys.executable, "args": [stdio_child.__file__]}],
    }
    with Gateway(config) as gateway, McpClient(gateway.port) as client:
        client.initialize(elicitation={})
        with EventStream(gateway.port, str(client.session)) as stream:
            for _ in range(2):
                client.call("srv__grow")
                stream.until(CHANGED)
        assert "srv__grown-4" not in client.tools()
