"""What legacy sessions watch, and want to be logged, goes on in the program that takes over."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import replica_child
from tests.support.event_client import EventStream
from tests.support.gateway import Gateway
from tests.support.installed import Installed, upgrade
from tests.support.keeping_backend import LEVELS, URI, KeepingBackend
from tests.support.mcp_client import McpClient
from tests.support.waiting import wait_until
from tests.support.zoo import animal

pytestmark = pytest.mark.first_line

UPDATED = "notifications/resources/updated"
OWN: dict[str, Any] = {"elicitation": {}}
FILE = replica_child.URI
TIMES = 3
"""So many updates are more than those that tell only of what may have been missed."""


@contextmanager
def _served(
    place: Path, *others: dict[str, Any], **options: Any
) -> Iterator[tuple[Gateway, KeepingBackend]]:
    """Run a gateway before a server over HTTP and one over stdio; both tell of a resource."""
    with KeepingBackend() as backend:
        kept = {"id": "k", "transport": "http", "url": backend.url}
        told = {"id": "f", "command": sys.executable,
                "args": [replica_child.__file__, "legacy", str(place)]}  # fmt: skip
        config = {
            "stdio": {"allowed_commands": [sys.executable]},
            "servers": [{**kept, "health_check": {"interval": "1h"}}, told, *others],
        }
        with Gateway(config, directory=place, **options) as gateway:
            yield gateway, backend


def _opened(gateway: Gateway, capabilities: dict[str, Any], *uris: str) -> str:
    """Open a session that hears of everything that is logged, and watches something."""
    with McpClient(gateway.port) as client:
        session = str(client.initialize(**capabilities).session)
        assert "result" in client.request("logging/setLevel", level="debug")[1]
    for uri in uris:
        _ask(gateway, session, "subscribe", uri)
    return session


def _ask(gateway: Gateway, session: str, what: str, uri: str) -> None:
    with McpClient(gateway.port, session) as client:
        assert client.request(f"resources/{what}", uri=uri)[1]["result"] == {}


def _change(place: Path) -> None:
    """Change the resource of the server over stdio."""
    with (place / "resource").open("a") as file:
        file.write("x")


def _hear_changes(gateway: Gateway, place: Path, session: str, stream: EventStream) -> None:
    """Have both resources change, and hear of it, more than once."""
    for number in range(TIMES):
        _change(place)
        _hear(stream, FILE)
        with McpClient(gateway.port, session) as client:
            client.call("k__speak", text=f"word {number}")
        while f"word {number} at emergency" not in str(stream.until("notifications/message")):
            pass
        _hear(stream, URI)


def _hear(stream: EventStream, uri: str) -> None:
    while stream.until(UPDATED)["params"]["uri"] != uri:
        pass


def _words(gateway: Gateway, session: str, stream: EventStream) -> list[str]:
    """Return the methods of what comes until a server has said something."""
    with McpClient(gateway.port, session) as client:
        client.call("k__speak", text="mark")
    methods = []
    while (message := stream.next()) is not None:
        methods.append(message["method"])
        if "mark at emergency" in str(message):
            return methods
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("capabilities", [{}, OWN], ids=["shared", "own"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_client_that_had_subscribed_hears_of_updates_of_the_program_that_follows(
    tmp_path: Path, workers: int, capabilities: dict[str, Any]
) -> None:
    """As soon as its stream is there, from servers of all kinds, and of the one after that."""
    with _served(tmp_path, workers=workers) as (gateway, _):
        session = _opened(gateway, capabilities, URI, FILE)
        with EventStream(gateway.port, session) as stream:
            _hear_changes(gateway, tmp_path, session, stream)
            assert "data" in upgrade(gateway)
            while stream.next() is not None:
                pass
        for _ in range(2):
            with EventStream(gateway.port, session) as stream:
                _hear_changes(gateway, tmp_path, session, stream)
                assert "data" in upgrade(gateway)


@pytest.mark.parametrize("capabilities", [{}, OWN], ids=["shared", "own"])
def test_what_was_let_go_is_not_watched_by_the_program_that_follows(
    tmp_path: Path, capabilities: dict[str, Any]
) -> None:
    """Nor what a session watched that was ended."""
    with _served(tmp_path) as (gateway, backend):
        session = _opened(gateway, capabilities, URI, FILE)
        _ask(gateway, session, "unsubscribe", URI)
        with McpClient(gateway.port, _opened(gateway, capabilities, URI)) as client:
            assert client.end_session() == 200
        assert "data" in upgrade(gateway)
        with EventStream(gateway.port, session) as stream:
            _change(tmp_path)
            _hear(stream, FILE)
            assert UPDATED not in _words(gateway, session, stream)
        wait_until(lambda: not any(backend.kept[one].watched for one in backend.sessions), "quiet")


def test_what_a_client_says_while_the_new_program_starts_counts(tmp_path: Path) -> None:
    """It subscribes to one thing more, lets go of another, or ends, at the old program."""
    gate = tmp_path / "gate"
    late = animal("late", "late", gate)
    with _served(tmp_path, late, wait_for=["k", "f"]) as (gateway, backend):
        gate.touch()
        gateway.wait_up("late")
        gate.unlink()  # the new program's own keeps it from taking over
        session, other = _opened(gateway, {}, URI), _opened(gateway, {}, URI)
        before = set(backend.kept)
        gateway.send(signal.SIGUSR1)
        wait_until(lambda: _watched(backend, before), "the new program's session watches")
        _ask(gateway, session, "unsubscribe", URI)
        for what in ("subscribe", "unsubscribe", "subscribe"):  # the last word is what counts
            _ask(gateway, session, what, FILE)
        with McpClient(gateway.port, other) as client:
            assert client.end_session() == 200
        wait_until(lambda: not _watched(backend, before), "the new program's session does not")
        gate.touch()
        wait_until(lambda: (gateway.status()["upgrade"] or {}).get("ok"), "the upgrade")
        with EventStream(gateway.port, session) as stream:
            for _ in range(TIMES):
                _change(tmp_path)
                _hear(stream, FILE)
            assert UPDATED not in _words(gateway, session, stream)


def _watched(backend: KeepingBackend, but: set[str]) -> set[str]:
    """Return what sessions watch at the server that are not these."""
    return set().union(*(kept.watched for name, kept in backend.kept.items() if name not in but))


def test_servers_log_for_the_program_that_follows_as_they_did_before(tmp_path: Path) -> None:
    """Before any client has made a call there."""
    with _served(tmp_path) as (gateway, backend):
        for level in ("emergency", "alert", "emergency"):
            with McpClient(gateway.port) as client:
                answer = client.initialize().request("logging/setLevel", level=level)[1]
                assert "result" in answer
        before = set(backend.kept)
        assert "data" in upgrade(gateway)
        wait_until(
            lambda: {
                kept.level for name, kept in backend.kept.items()
                if name not in before and name in backend.sessions
            } == {LEVELS.index("alert")},
            "the level of the new session",
        )  # fmt: skip


@pytest.mark.parametrize("how", ["upgrade", "restart"])
def test_what_may_have_changed_while_a_client_came_back_is_told(tmp_path: Path, how: str) -> None:
    """Of one that says what it saw last: nobody knows what its stream would have had to tell."""
    with _served(tmp_path) as (gateway, _):
        session = _opened(gateway, {}, URI, FILE)
        with EventStream(gateway.port, session) as stream:
            stream.begin()
            said = gateway.command(how, "--port", str(gateway.port), "--json")
            assert "data" in said, said
            while stream.next() is not None:
                pass
        with EventStream(gateway.port, session, stream.last_event_id) as again:
            assert {again.until(UPDATED)["params"]["uri"] for _ in range(2)} == {URI, FILE}


@pytest.mark.parametrize(
    ("old", "line"),
    [
        (True, "heirs = await serve(shared.runtime_dir.heir_socket, host.sessions.heir)"),
        (False, "await Bequest(host.sessions.inherit).accept(shared.predecessor.heir_socket)"),
    ],
    ids=["from", "to"],
)
def test_a_program_that_knows_of_no_bequest_is_upgraded_as_before(
    tmp_path: Path, old: bool, line: str
) -> None:
    """From it or to it: clients subscribe again."""
    installed = Installed(tmp_path)
    if old:
        installed.install("7.0.1", without=("host/host.py", line))
    with _served(tmp_path, env=installed.env) as (gateway, _):
        session = _opened(gateway, {}, FILE)
        installed.install("7.0.2", without=("", "") if old else ("host/host.py", line))
        assert upgrade(gateway)["data"]["after"]["version"] == "7.0.2"
        assert ("not all of what clients have subscribed to" in gateway.log) is old
        with EventStream(gateway.port, session) as stream:
            _ask(gateway, session, "subscribe", FILE)
            _change(tmp_path)
            _hear(stream, FILE)
