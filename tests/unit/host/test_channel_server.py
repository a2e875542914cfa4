"""One server on a channel, a real child: met, listed, called, and started again."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from only1mcp.backends.call import FutureSink, Outgoing
from only1mcp.errors import BackendLost, BackendUnreachable
from only1mcp.host import connection, replica
from only1mcp.host.channel_server import ChannelServer
from only1mcp.host.status import Observer, ServerState
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.server import Server
from only1mcp.resilience.restart_policy import RestartPolicy
from only1mcp.tasks import Tasks
from only1mcp.transports.stdio import ChildProcess
from only1mcp.transports.streamable_http import make_client
from tests.support import stdio_child
from tests.support.loop import eventually, on_loop

PATIENCE_S = 30.0


class Watched:
    """A server, and what it tells of itself."""

    def __init__(self, *moods: str, timeout_s: float, command: str) -> None:
        self.states: list[str] = []
        self.catalogues: list[Catalogue] = []
        self.tasks = Tasks()
        declared = Server(
            "srv", "stdio", "srv", command=command, args=(str(stdio_child.__file__), *moods),
            handshake_timeout_s=timeout_s,
        )  # fmt: skip
        observer = Observer(
            lambda status: self.states.append(str(status.state)),
            lambda catalogue, kinds: self.catalogues.append(catalogue),
            lambda server_id, uri, params: None,
            lambda server_id, params: None,
        )
        self.client = make_client()
        self.server = ChannelServer(declared, observer, self.tasks, self.client)

    @property
    def status(self) -> Any:
        """What the host says of it now; any type, for it changes behind the checker's back."""
        return self.server.status

    def call(self, name: str, **arguments: object) -> FutureSink:
        """Call a tool."""
        sink = FutureSink()
        self.server.call(outgoing(name, **arguments), sink)
        return sink

    async def up(self) -> None:
        """Wait until it serves."""
        await eventually(lambda: self.status.state == ServerState.UP, "the server to be up")


def outgoing(name: str, **arguments: object) -> Outgoing:
    """Write a call."""
    params = json.dumps({"name": name, "arguments": arguments}).encode()
    return Outgoing("tools/call", params, Era.LEGACY, name)


@asynccontextmanager
async def server(
    *moods: str, timeout_s: float = PATIENCE_S, command: str = sys.executable
) -> AsyncIterator[Watched]:
    """Run a server for the time of a block."""
    subject = Watched(*moods, timeout_s=timeout_s, command=command)
    subject.server.start()
    try:
        yield subject
    finally:
        await subject.server.stop()
        await subject.tasks.cancel_all()
        await subject.client.close()


async def answer_of(sink: FutureSink) -> Any:
    """Return the pid of the child that answered, and what it was given."""
    reply = json.loads((await sink.wait(PATIENCE_S)).body)
    return json.loads(reply["result"]["content"][0]["text"])


@on_loop
async def test_a_server_is_met_listed_and_called() -> None:
    """And says what it is."""
    async with server() as subject:
        await subject.up()
        status = subject.status
        assert (status.version, status.eras, status.tools, status.detail) == (
            "child 7", ("legacy",), 4, "",
        )  # fmt: skip
        assert [item.key for item in subject.catalogues[0].tools] == ["echo", "die", "slow", "grow"]
        assert await answer_of(subject.call("echo", n=1)) == [status.pid, {"n": 1}]
    assert subject.states == ["starting", "up", "stopped"]
    assert status.pid == 0


@on_loop
async def test_a_server_that_is_pinged_answers_and_stays() -> None:
    """As any does: the next call finds the same process."""
    async with server() as subject:
        await subject.up()
        pid = subject.status.pid
        sink = FutureSink()
        subject.server.call(Outgoing("ping", b"{}", Era.LEGACY), sink)
        assert json.loads((await sink.wait(PATIENCE_S)).body)["result"] == {}
        assert await answer_of(subject.call("echo")) == [pid, {}]


@on_loop
async def test_calls_wait_for_a_server_that_starts() -> None:
    """In order."""
    async with server() as subject:
        sinks = [subject.call("echo", n=n) for n in range(20)]
        answers = await asyncio.gather(*map(answer_of, sinks))
    assert [arguments["n"] for _, arguments in answers] == list(range(20))


@on_loop
async def test_a_call_that_waited_can_be_cancelled_before_and_after_it_was_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Before, the child never hears of it; after, it is told."""
    with caplog.at_level(logging.INFO, "only1mcp"):
        async with server() as subject:
            forget = subject.server.call(outgoing("die"), FutureSink())
            cancel = subject.server.call(outgoing("slow"), FutureSink())
            forget()
            forget()
            await answer_of(subject.call("echo"))
            cancel()
            cancel()
            await eventually(lambda: "stderr: cancelled" in caplog.text, "the cancellation")
    assert caplog.text.count("stderr: cancelled") == 1
    assert "I die" not in caplog.text


@on_loop
async def test_a_child_that_ends_loses_its_calls_and_is_started_again() -> None:
    """At once; the next call goes to the new one."""
    async with server() as subject:
        await subject.up()
        first = subject.status.pid
        slow, deadly = subject.call("slow"), subject.call("die")
        for sink in (slow, deadly):
            with pytest.raises(BackendLost, match="exited with code 3"):
                await sink.wait(PATIENCE_S)
        await eventually(lambda: subject.status.restarts == 1, "the restart")
        await subject.up()
        pid, _ = await answer_of(subject.call("echo"))
        assert pid == subject.status.pid != first


@on_loop
async def test_a_killed_child_is_replaced() -> None:
    """Whoever killed it."""
    async with server() as subject:
        await subject.up()
        os.kill(subject.status.pid, signal.SIGKILL)
        await eventually(lambda: subject.status.restarts == 1, "the restart")
        await subject.up()
        assert (await answer_of(subject.call("echo")))[0] == subject.status.pid


@on_loop
async def test_a_crash_loop_is_slowed_down_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls fail at once meanwhile; the child's last words are for operators."""
    monkeypatch.setattr(replica, "RestartPolicy", lambda: RestartPolicy(first_s=0.01, park_after=3))
    async with server("crash") as subject:
        waiting = subject.call("echo")
        with pytest.raises(BackendUnreachable):
            await waiting.wait(PATIENCE_S)
        await eventually(lambda: subject.status.state == ServerState.PARKED, "the parking")
        assert subject.status.detail.endswith("code 9; its last words: Error: no license | v20")
        with pytest.raises(BackendUnreachable, match="server srv is parked") as caught:
            await subject.call("echo").wait(PATIENCE_S)
        assert caught.value.detail == subject.status.detail
    assert "up" not in subject.states


@pytest.mark.parametrize(("mood", "timeout_s"), [("no-probe", PATIENCE_S), ("mute", 0.2)])
@on_loop
async def test_a_server_that_cannot_stand_the_probe_is_spared_it_from_then_on(
    mood: str, timeout_s: float
) -> None:
    """Whether it ends or says nothing; each second try is without."""
    async with server(mood, timeout_s=timeout_s) as subject:
        if mood == "no-probe":
            await subject.up()
            assert subject.status.restarts == 1
        else:
            await eventually(lambda: subject.status.restarts == 2, "the third try")
            assert "did not answer initialize" in subject.status.detail


@on_loop
async def test_a_program_that_is_not_there_is_down_with_its_reason() -> None:
    """The launcher's own words."""
    async with server(command="/no/such/program") as subject:
        await eventually(lambda: subject.status.state == ServerState.DOWN, "the verdict")
        assert "cannot execute /no/such/program" in subject.status.detail


@on_loop
async def test_a_program_that_takes_no_input_is_down_with_the_reason_of_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be gone before the first word to it is written."""
    monkeypatch.setattr(ChildProcess, "write", lambda *_: False)
    async with server(command="/no/such/program") as subject:
        await eventually(lambda: subject.status.state == ServerState.DOWN, "the verdict")
        assert "cannot execute /no/such/program" in subject.status.detail


@on_loop
async def test_changed_lists_are_read_again() -> None:
    """When the server says so."""
    async with server() as subject:
        await subject.up()
        for count in (5, 6, 7):
            await answer_of(subject.call("grow"))
            await eventually(lambda n=count: subject.status.tools == n, "the new tool")  # type: ignore[misc]


@on_loop
async def test_a_change_during_the_listing_is_not_missed() -> None:
    """Neither at the start nor while a changed list is read."""
    async with server("restless") as subject:
        await subject.up()
        await eventually(lambda: subject.status.tools == 7, "all tools")


@on_loop
async def test_stopping_ends_the_child_and_fails_who_waits() -> None:
    """Nothing is started again."""
    async with server("mute") as subject:
        await eventually(lambda: subject.server.pids, "the child")
        waiting = subject.call("echo")
        await subject.server.stop()
        with pytest.raises(BackendUnreachable, match="stopped"):
            await waiting.wait(PATIENCE_S)
        assert subject.status.pid == 0
        with pytest.raises(BackendUnreachable):
            await subject.call("echo").wait(PATIENCE_S)


@on_loop
async def test_a_server_that_takes_long_to_start_is_waited_for_by_nobody_else() -> None:
    """It keeps its first process, and says that it may be installing itself."""
    async with server("mute", timeout_s=0.5) as subject:
        await eventually(lambda: subject.status.is_late, "its time to be over")
        status = subject.status
        assert (status.state, status.restarts) == (ServerState.STARTING, 0)
        assert "installing" in status.detail


@on_loop
async def test_a_modern_server_that_starts_slowly_each_time_comes_up() -> None:
    """Once it is known to be slow it is given time to answer the probe, and nothing after that."""
    async with server("modern", "slow=1", timeout_s=0.5) as subject:
        await subject.up()
        assert subject.status.eras == ("modern",)
        assert subject.status.detail == ""


@on_loop
async def test_a_server_that_never_answers_is_down_and_not_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also while it is started again and again, however long each start takes."""
    monkeypatch.setattr(connection, "SLOW_START", 1)
    async with server("mute", timeout_s=0.05) as subject:
        await eventually(lambda: subject.status.restarts >= 4, "it was started often")
        assert subject.status.state in (ServerState.DOWN, ServerState.PARKED)
        assert set(subject.states[subject.states.index("down") :]) <= {"down", "parked"}
        assert set(subject.states[: subject.states.index("down")]) == {"starting"}
        assert "did not answer" in subject.status.detail
        with pytest.raises(BackendUnreachable, match=r"is (down|parked)"):
            await subject.call("echo").wait(PATIENCE_S)


@on_loop
async def test_what_was_updated_is_out_of_date_before_clients_hear_of_it() -> None:
    """They hear of it once, when all processes may have said so."""
    outdated, updated = list[tuple[str, str]](), list[str]()
    observer = Observer(
        on_updated=lambda server_id, uri, params: updated.append(uri),
        on_outdated=lambda *what: outdated.append(what),
    )
    client = make_client()
    declared = Server("srv", "stdio", "srv", command=sys.executable, replicas=2)
    subject = ChannelServer(declared, observer, Tasks(), client)
    for _ in range(2):
        subject._on_updated("srv", "r://1", b"{}")
    assert (outdated, updated) == ([("srv", "r://1")] * 2, [])
    await eventually(lambda: updated, "the news")
    assert updated == ["r://1"]
    await client.close()
