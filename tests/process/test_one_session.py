"""A legacy HTTP server that keeps state for each session: the whole gateway is one to it."""

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.event_client import EventStream, Subscription
from tests.support.gateway import Gateway
from tests.support.keeping_backend import LEVELS, URI, KeepingBackend, Kept
from tests.support.mcp_client import McpClient
from tests.support.processes import Herd
from tests.support.waiting import PATIENCE_S, wait_until

WORKERS = 4
CALLS = 40


def _config(*backends: KeepingBackend) -> dict[str, Any]:
    """Declare one server with these instances, which is not asked for its health meanwhile."""
    places = [{"url": backend.url} for backend in backends]
    server = {"id": "k", "transport": "http", "instances": places}
    return {"servers": [{**server, "health_check": {"interval": "1h"}}]}


@contextlib.contextmanager
def _kept(**options: Any) -> Iterator[tuple[KeepingBackend, Gateway]]:
    """Run a server, and the gateway before it, until the server's stream is followed."""
    options = {"workers": WORKERS, **options}
    with KeepingBackend("legacy") as backend, Gateway(_config(backend), **options) as gateway:
        wait_until(lambda: backend.now.is_followed, "the stream")
        yield backend, gateway


def _call(gateway: Gateway, name: str, text: str = "") -> str:
    """Make one call on a connection of its own: any worker gets it."""
    with McpClient(gateway.port) as client:
        return client.call(f"k__{name}", text=text)


def _opened(gateway: Gateway, level: str | None = None) -> str:
    """Open a session of a legacy client, which may say what it wants to be logged."""
    with McpClient(gateway.port) as client:
        session = str(client.initialize().session)
        if level is not None:
            assert "result" in client.request("logging/setLevel", level=level)[1]
    return session


def _kill(gateway: Gateway, role: str, index: int = 0) -> None:
    """Kill a process and wait for its successor."""
    pid = gateway.processes()[role, index]["pid"]
    os.kill(pid, signal.SIGKILL)

    def is_replaced() -> bool:
        row = gateway.processes().get((role, index), {})
        return bool(row.get("pid", pid) != pid and row["state"] == "ready")

    wait_until(is_replaced, f"a new {role}")


def _repeated(*backends: KeepingBackend) -> set[int]:
    """Return the ids that a server saw twice on a session."""
    seen = [kept.ids for backend in backends for kept in backend.kept.values()]
    return {number for ids in seen for number, count in ids.items() if count > 1}


def test_what_a_server_says_after_a_call_arrives() -> None:
    """Log messages and updates, at clients of each era, whichever workers they are connected to."""
    with _kept() as (backend, gateway):
        session = _opened(gateway, "debug")
        with (
            EventStream(gateway.port, session) as legacy,
            Subscription(gateway.port, resourceSubscriptions=[URI]) as modern,
            McpClient(gateway.port, session) as client,
        ):
            client.request("resources/subscribe", uri=URI)
            for number in range(2 * WORKERS):
                _call(gateway, "speak", f"no {number}")
                logged = legacy.until("notifications/message")["params"]
                assert logged == {"level": "debug", "data": f"no {number} at debug"}
                updated = legacy.until("notifications/resources/updated")["params"]
                assert updated == {"uri": URI}
                assert modern.until("notifications/resources/updated")["params"]["uri"] == URI
        assert backend.counts["initialize"] == 1


def test_a_server_of_both_eras_is_heard_on_its_legacy_session_too() -> None:
    """Once there are legacy clients; it logs for them only there."""
    with KeepingBackend("legacy", "modern") as backend:
        with Gateway(_config(backend), workers=WORKERS) as gateway:
            session = _opened(gateway, "alert")
            wait_until(lambda: backend.sessions and backend.now.is_followed, "the stream")
            with (
                EventStream(gateway.port, session) as legacy,
                McpClient(gateway.port, session) as client,
            ):
                client.call("k__speak", text="now")
                assert legacy.until("notifications/message")["params"]["data"] == "now at alert"
        assert backend.counts["initialize"] == 1


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_all_workers_are_on_one_session_and_no_id_comes_twice(pure: bool) -> None:
    """What the server remembers of earlier calls it tells in later ones, and it ends once."""
    with KeepingBackend("legacy") as backend:
        with Gateway(_config(backend), workers=WORKERS, pure=pure) as gateway:
            sessions = [_opened(gateway) for _ in range(4)]
            for number in range(CALLS):
                with McpClient(gateway.port, [None, *sessions][number % 5]) as client:
                    said = client.call("k__remember", text=str(number))
                assert said.split() == [str(one) for one in range(number + 1)]
            assert gateway.stop() in (0, 143)
        assert backend.counts["initialize"] == 1
        assert _repeated(backend) == set()
        assert list(backend.ended.values()) == [1]


def test_a_forgotten_session_is_opened_again_for_all() -> None:
    """Once; no call is lost, none runs twice, and what was watched and logged is so again."""
    with _kept() as (backend, gateway):
        session = _opened(gateway, "debug")
        with (
            EventStream(gateway.port, session) as legacy,
            McpClient(gateway.port, session) as client,
        ):
            client.request("resources/subscribe", uri=URI)
            backend.forget()
            for number in range(CALLS):
                assert _call(gateway, "echo", f"e{number}") == f"e{number}"
            wait_until(lambda: backend.now.is_followed and backend.now.watched, "the new stream")
            assert backend.now.level == LEVELS.index("debug")
            _call(gateway, "speak", "again")
            while "again" not in legacy.until("notifications/message")["params"]["data"]:
                pass
            legacy.until("notifications/resources/updated")
        assert backend.counts["initialize"] == 2
        assert {backend.texts[f"e{number}"] for number in range(CALLS)} == {1}
        assert _repeated(backend) == set()


def test_calls_go_on_while_the_host_is_killed_and_the_next_one_keeps_the_session() -> None:
    """The call under way is answered, the server's memory stays, and it is listened to again."""
    with _kept() as (backend, gateway), McpClient(gateway.port) as patient:
        assert _call(gateway, "remember", "all") == "all"
        patient.send("tools/call", name="k__wait", arguments={"text": "patience"})
        wait_until(lambda: backend.now.waiting, "the call to arrive")
        _kill(gateway, "host")
        assert _call(gateway, "remember", "this") == "all this"
        gateway.wait_up()
        wait_until(lambda: backend.now.is_followed, "the stream of the next host")
        backend.release()
        assert patient.receive()[1]["result"]["content"][0]["text"] == "patience"
        session = _opened(gateway, "error")
        with EventStream(gateway.port, session) as legacy:
            _call(gateway, "speak", "now")
            assert legacy.until("notifications/message")["params"]["data"] == "now at error"
        assert gateway.stop() in (0, 143)
        assert backend.counts["initialize"] == 1
        assert _repeated(backend) == set()
        assert list(backend.ended.values()) == [1]


def test_without_a_host_workers_open_sessions_of_their_own_and_end_them() -> None:
    """If the server forgets theirs; no call is lost, and in the end there is one for all again."""
    with _kept() as (backend, gateway):
        (forgotten,) = backend.sessions
        for _ in range(CALLS):  # every worker knows the server
            assert _call(gateway, "echo") == ""
        host = gateway.processes()["host", 0]["pid"]
        gateway.send(signal.SIGSTOP)  # the host stays away
        try:
            with Herd([host]) as herd:
                os.kill(host, signal.SIGKILL)
                herd.wait_gone(PATIENCE_S)
            backend.forget()
            for number in range(CALLS):
                assert _call(gateway, "echo", f"e{number}") == f"e{number}"
            assert 1 <= len(backend.sessions) <= WORKERS
        finally:
            gateway.send(signal.SIGCONT)
        gateway.wait_up()
        wait_until(lambda: len(backend.sessions) == 1 and backend.now.is_followed, "one for all")
        assert _call(gateway, "echo", "x") == "x"
        assert gateway.stop() in (0, 143)
        assert {backend.texts[f"e{number}"] for number in range(CALLS)} == {1}
        assert _repeated(backend) == set()
        assert backend.ended == dict.fromkeys(backend.kept.keys() - {forgotten}, 1)


def test_a_worker_that_starts_again_goes_on_with_the_session() -> None:
    """With ids that none before it has used; the session is not ended by the one that went."""
    with _kept() as (backend, gateway):
        for number in range(3):
            for worker in range(WORKERS):
                assert len(_call(gateway, "remember", "x")) > number
                _kill(gateway, "worker", worker)
        for _ in range(CALLS):
            _call(gateway, "echo")
        assert backend.counts["initialize"] == 1
        assert _repeated(backend) == set()
        assert not backend.ended


def test_each_instance_has_one_session_and_is_heard() -> None:
    """Whichever of them took the call; each session is ended once."""
    with KeepingBackend("legacy") as first, KeepingBackend("legacy") as second:
        both = [first, second]
        with Gateway(_config(*both), workers=WORKERS) as gateway:
            session = _opened(gateway, "emergency")
            wait_until(lambda: all(one.now.is_followed for one in both), "both streams")
            with (
                EventStream(gateway.port, session) as legacy,
                McpClient(gateway.port, session) as client,
            ):
                client.request("resources/subscribe", uri=URI)
                assert [one.now.watched for one in both] == [{URI}, {URI}]
                for number in range(CALLS):
                    _call(gateway, "speak", f"s{number}")
                    said = legacy.until("notifications/message")["params"]["data"]
                    assert said == f"s{number} at emergency"
                    legacy.until("notifications/resources/updated")
            assert all(one.counts["tools/call"] for one in both)
            assert gateway.stop() in (0, 143)
        assert [one.counts["initialize"] for one in both] == [1, 1]
        assert [list(one.ended.values()) for one in both] == [[1], [1]]
        assert _repeated(*both) == set()


def test_the_server_logs_as_much_as_any_client_wants_and_each_gets_its_own() -> None:
    """In whatever order they say so, at whichever worker; also before any call of theirs."""
    with _kept() as (backend, gateway):
        sessions = {level: _opened(gateway, level) for level in ("error", "info", "alert")}
        wait_until(lambda: backend.now.level == LEVELS.index("info"), "the lowest level")
        with contextlib.ExitStack() as stack:
            streams = {
                level: stack.enter_context(EventStream(gateway.port, session))
                for level, session in sessions.items()
            }
            for session in sessions.values():  # a call with a higher level changes nothing
                with McpClient(gateway.port, session) as client:
                    client.call("k__echo", text="x")
            _call(gateway, "speak", "now")
            for level, stream in streams.items():
                for wanted in LEVELS[LEVELS.index(level) :]:
                    assert stream.until("notifications/message")["params"]["level"] == wanted
        assert backend.now.level == LEVELS.index("info")


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "modern"])
@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_a_call_that_is_given_up_is_cancelled_by_its_own_id(legacy: bool, pure: bool) -> None:
    """On the session that it was made on, also once there is another."""
    with _kept(pure=pure) as (backend, gateway):
        before = backend.now
        with McpClient(gateway.port, _opened(gateway) if legacy else None) as client:
            client.send("tools/call", name="k__wait", arguments={"text": "x"})
            wait_until(lambda: before.waiting, "the call")
            for _ in range(CALLS):
                _call(gateway, "echo")
            if legacy:
                with McpClient(gateway.port, client.session) as aside:
                    _cancel(aside)
        wait_until(lambda: before.cancelled, "the cancellation")
        assert before.cancelled == list(before.waiting)


def _cancel(client: McpClient) -> None:
    """Cancel the first request of another connection."""
    body = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}'
    response, _ = client.exchange("POST", body, client._legacy_headers())
    assert response.status == 202


def _moved(backend: KeepingBackend, before: Kept) -> bool:
    """Say whether there is a new session, which is listened to."""
    new = [one for key, one in backend.kept.items() if key in backend.sessions]
    return any(one is not before and one.is_followed for one in new)


def test_a_session_that_is_replaced_is_ended_after_the_last_call_on_it(tmp_path: Path) -> None:
    """Other headers mean another session; the old one is ended once, when it is not used."""
    with (
        KeepingBackend("legacy") as backend,
        Gateway(_config(backend), workers=WORKERS, directory=tmp_path) as gateway,
        McpClient(gateway.port) as client,
    ):
        before = backend.now
        (old,) = backend.sessions
        client.send("tools/call", name="k__wait", arguments={"text": "x"})
        wait_until(lambda: before.waiting, "the call")
        config = _config(backend)
        config["servers"][0]["headers"] = {"X-Key": "2"}
        gateway.configure(config)
        gateway.send(signal.SIGHUP)
        wait_until(lambda: _moved(backend, before), "the new session")
        assert _call(gateway, "remember", "new") == "new"
        assert backend.ended == Counter()
        backend.release()
        assert client.receive()[1]["result"]["content"][0]["text"] == "x"
        wait_until(lambda: backend.ended, "the old session's end")
        assert backend.ended == {old: 1}
        assert backend.counts["initialize"] == 2
