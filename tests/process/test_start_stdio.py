"""`only1mcp start --stdio`: a gateway for the client that starts it, and that ends with it."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import LEGACY
from tests.support.processes import Herd
from tests.support.stdio_client import StdioClient
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.way_clients import INITIALIZED, call, initialize, legacy, modern, text
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.first_line


class Place:
    """A directory with a configuration, and the environment of a client there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.gateway = Gateway(None, directory=directory)
        """Never started: it lends us its environment."""
        self.config = self.gateway.configure(zoo(animal("a", "tame"), port=1))

    def start(self, *options: str, config: Path | None = None) -> StdioClient:
        """Start a gateway as a client does."""
        arguments = ("start", "--stdio", "--config", str(config or self.config), *options)
        return StdioClient(*arguments, env=self.gateway.env, cwd=self.directory)

    def records(self) -> list[dict[str, Any]]:
        """Return what the gateways that run here say of themselves."""
        found = (self.directory / "run").glob("*/supervisor.json")
        return [json.loads(record.read_text()) for record in found]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a place, and make sure that nothing is left running there."""
    place = Place(tmp_path)
    yield place
    for record in place.records():
        with Herd.below(record["pid"]) as left:
            assert not left.alive, f"still running: {record}"


def _herd(client: StdioClient) -> Herd:
    """Watch all processes of a gateway that answers."""
    assert client.ask(initialize())["result"]["protocolVersion"] == LEGACY
    client.say(INITIALIZED)
    assert text(client.ask(call(1, "a__echo", text="x"))) == "x"
    herd = Herd.below(client.process.pid)
    assert len(herd.alive) >= 5  # the bridge, supervisor, control, host, a worker and a server
    return herd


def test_messages_are_all_that_stands_on_standard_output(place: Place) -> None:
    """Banner and logs are on standard error; the port is one of its own."""
    with place.start("--workers", "2") as client, _herd(client) as herd:
        assert client.ask(modern("m", "server/discover"))["id"] == "m"
        (record,) = place.records()
        assert record["port"] not in (1, 8080)
        code, out, err = client.finish()
        assert (code, out) == (0, b"")
        assert f"http://127.0.0.1:{record['port']}/mcp".encode() in err
        assert b"workers=2" in err
        assert b'"msg":"tools/call"' in err
        herd.wait_gone(PATIENCE_S)
    assert place.records() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything(place: Place, number: signal.Signals) -> None:
    """With the exit code that says so; the servers end in order."""
    with place.start() as client, _herd(client) as herd:
        client.process.send_signal(number)
        assert client.process.wait(PATIENCE_S) == 128 + number
        assert not herd.alive
    assert place.records() == []


@pytest.mark.parametrize("whole_group", [False, True])
def test_a_client_that_kills_us_leaves_nothing_behind(place: Place, whole_group: bool) -> None:
    """The gateway notices, and ends its servers in order."""
    config = place.gateway.configure(zoo(animal("a", "tame", place.directory / "journal")))
    with place.start(config=config) as client, _herd(client) as herd:
        if whole_group:
            os.killpg(client.process.pid, signal.SIGKILL)
        else:
            client.process.kill()
        herd.wait_gone(PATIENCE_S)
    assert (place.directory / "journal").read_text().split()[-1] == "end"
    assert place.records() == []


def test_a_stubborn_server_does_not_outlive_us(place: Place) -> None:
    """Even when it hears neither the end of its input nor SIGTERM."""
    journal = place.directory / "journal"
    config = place.gateway.configure(
        zoo(animal("a", "tame"), animal("s", "stubborn", journal), shutdown_timeout="1s")
    )
    with place.start(config=config) as client, _herd(client) as herd:
        wait_until(journal.exists, "the stubborn server runs")
        assert client.finish()[0] == 0
        assert not herd.alive


def test_the_end_of_the_gateway_is_our_end(place: Place) -> None:
    """A client sees that its server is gone, instead of errors for ever."""
    with place.start() as client, _herd(client) as herd:
        os.kill(place.records()[0]["pid"], signal.SIGKILL)
        assert client.process.wait(PATIENCE_S) == 1
        assert client.process.stderr is not None
        assert b"the gateway has ended" in client.process.stderr.read()
        herd.wait_gone(PATIENCE_S)
    for path in (place.directory / "run").glob("*/supervisor.json"):
        path.unlink()  # what one that was killed leaves is cleared by the next


def test_what_is_under_way_at_the_end_of_input_is_answered(place: Place) -> None:
    """A script may write its requests, close the pipe, and read."""
    with place.start() as client:
        client.say(modern(1, "tools/call", name="a__echo", arguments={"text": "late"}))
        code, out, _ = client.finish()
        assert code == 0
        assert text(json.loads(out)) == "late"


def test_input_that_ends_at_once_is_no_failure(place: Place) -> None:
    """A client that only probes whether we start."""
    with place.start() as client:
        code, out, _ = client.finish()
        assert (code, out) == (0, b"")
    assert place.records() == []


def test_a_configuration_that_is_not_valid_is_said_on_standard_error(place: Place) -> None:
    """With the exit code that start has without a client."""
    config = place.directory / "bad.yaml"
    config.write_text("servers: [{id: a}]")
    with place.start(config=config) as client:
        code, out, err = client.finish()
        assert (code, out) == (5, b"")
        assert b"bad.yaml:1:" in err


def test_a_port_can_be_given_and_may_be_taken(place: Place) -> None:
    """Then it is the gateway's for others too, or the reason not to start."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with place.start("--port", str(port)) as client:
            code, out, err = client.finish()
            assert (code, out) == (7, b"")
            assert f":{port} is in use".encode() in err
    with place.start("--port", str(port)) as client, _herd(client):
        assert place.records()[0]["port"] == port
        with StdioClient("connect", "--port", str(port), env=place.gateway.env) as other:
            assert other.ask(modern(1, "server/discover"))["id"] == 1
        assert client.finish()[0] == 0


def test_two_clients_have_two_gateways_of_one_configuration(place: Place) -> None:
    """Though it names a port: neither takes that."""
    with place.start() as first, place.start() as second:
        for client in (first, second):
            assert client.ask(modern(1, "tools/list"))["id"] == 1
        assert len({record["port"] for record in place.records()}) == 2
        assert [first.finish()[0], second.finish()[0]] == [0, 0]


def test_without_a_configuration_the_demonstration_is_served(place: Place) -> None:
    """As `start` does."""
    with StdioClient("start", "--stdio", "--demo", env=place.gateway.env) as client:
        assert client.ask(initialize())["result"]["protocolVersion"] == LEGACY
        client.say(INITIALIZED, legacy(1, "tools/list"))
        names = [tool["name"] for tool in client.hear()["result"]["tools"]]
        assert "demo-calc__add" in names
        assert client.finish()[:2] == (0, b"")
