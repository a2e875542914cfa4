"""What a legacy HTTP server asks between calls, on the session's stream, reaches its client."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.event_client import EventStream, PostStream
from tests.support.gateway import Gateway
from tests.support.mcp_client import HEADERS, LEGACY, McpClient
from tests.support.roots_backend import CHANGED, RootsBackend
from tests.support.waiting import wait_until

CLIENTS = 4


class Scene:
    """A server and the gateway before it."""

    def __init__(self, server: RootsBackend, gateway: Gateway) -> None:
        self.server = server
        self.gateway = gateway

    def session(self) -> str:
        """Open a session that the server knows, of a client that has roots."""
        with McpClient(self.gateway.port) as client:
            client.initialize(roots={"listChanged": True})
            assert client.call("k__echo", text="here") == "here"
            return str(client.session)

    def stream(self, session: str) -> EventStream:
        """Return the session's stream, in whatever worker."""
        return EventStream(self.gateway.port, session)

    def change_roots(self, session: str) -> None:
        """Say that a client's roots are others, and wait until the gateway is asked for them."""
        before = self.server.heard
        headers = {**HEADERS, "Mcp-Session-Id": session, "MCP-Protocol-Version": LEGACY}
        body = json.dumps({"jsonrpc": "2.0", "method": CHANGED}).encode()
        with McpClient(self.gateway.port) as client:
            assert client.exchange("POST", body, headers)[0].status == 202
        wait_until(lambda: self.server.heard > before, "the question")

    def answer(self, session: str, question: dict[str, Any], name: str) -> None:
        """Answer what a stream has brought, on a connection of its own: any worker gets it."""
        with McpClient(self.gateway.port, session) as client:
            client.answer(question["id"], _roots(name))

    def replace_host(self) -> None:
        """Kill the host and wait for its successor."""
        pid = self.gateway.processes()["host", 0]["pid"]
        os.kill(pid, signal.SIGKILL)

        def is_replaced() -> bool:
            row = self.gateway.processes().get(("host", 0), {})
            return bool(row.get("pid", pid) != pid and row["state"] == "ready")

        wait_until(is_replaced, "a new host")

    def hears_at_last(self, session: str, stream: EventStream) -> None:
        """Answer what a stream brings; the server hears that one answer and no other."""
        self.answer(session, stream.until("roots/list"), "late")
        assert self.answers() == [_roots("late")]

    def answers(self, number: int = 1) -> list[Any]:
        """Wait until the server has so many answers; return them."""
        wait_until(lambda: len(self.server.answers) >= number, "the answers")
        return [said for _, said in self.server.answers]


def _roots(name: str) -> dict[str, Any]:
    return {"roots": [{"uri": f"file:///{name}"}]}


@contextlib.contextmanager
def _scene(*, pure: bool = False) -> Iterator[Scene]:
    with (
        RootsBackend() as server,
        Gateway(
            {"servers": [{"id": "k", "transport": "http", "url": server.url}]},
            workers=2, pure=pure,
        ) as gateway,
    ):  # fmt: skip
        yield Scene(server, gateway)


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_each_client_is_asked_on_its_own_stream_and_answers_its_own_session(pure: bool) -> None:
    """At once, without a call, whichever workers have the streams, notifications and answers."""
    with _scene(pure=pure) as scene, contextlib.ExitStack() as stack:
        sessions = [scene.session() for _ in range(CLIENTS)]
        streams = [stack.enter_context(scene.stream(session)) for session in sessions]
        for session in sessions:
            scene.change_roots(session)
        for number, (session, stream) in enumerate(zip(sessions, streams, strict=True)):
            scene.answer(session, stream.until("roots/list"), f"{number}")
        scene.answers(CLIENTS)
        heard = {id(kept): answer for kept, answer in scene.server.answers}
        assert [heard[id(kept)] for kept in scene.server.asked] == [
            _roots(f"{number}") for number in range(CLIENTS)
        ]


def test_a_question_waits_for_a_stream_and_for_another_when_that_one_ends() -> None:
    """The server waits; it hears the one answer that the client gives."""
    with _scene() as scene:
        session = scene.session()
        scene.change_roots(session)
        with scene.stream(session) as first:
            first.until("roots/list")
        with scene.stream(session) as second:
            scene.hears_at_last(session, second)


def test_a_question_that_waited_for_a_call_outlasts_it() -> None:
    """What the client has not answered by the end of the call is asked on its stream."""
    with _scene() as scene:
        session = scene.session()
        scene.change_roots(session)
        params = {"name": "k__wait", "arguments": {}}
        with PostStream(scene.gateway.port, session, "tools/call", **params) as call:
            call.until("roots/list")
            wait_until(lambda: any(kept.waiting for kept in scene.server.kept.values()), "the call")
            scene.server.release()
            assert "result" in wait_until(lambda: _end_of(call), "the end of the call")
        with scene.stream(session) as stream:
            scene.hears_at_last(session, stream)


def test_the_next_host_asks_on_the_streams_that_are_open() -> None:
    """Workers tell it of them; the session with the server is another one."""
    with _scene() as scene:
        session = scene.session()
        with scene.stream(session) as stream:
            scene.replace_host()
            with McpClient(scene.gateway.port, session) as client:
                assert client.call("k__echo", text="again") == "again"
            scene.change_roots(session)
            scene.hears_at_last(session, stream)


def _end_of(call: PostStream) -> dict[str, Any] | None:
    """Return the answer of a call, past what comes before it."""
    message = call.next()
    assert message is not None
    return None if "method" in message else message
