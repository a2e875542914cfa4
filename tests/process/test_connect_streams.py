"""`only1mcp connect` and what is no answer: streams, questions, changes and cancellations."""

import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import LEGACY
from tests.support.stdio_client import Message, StdioClient
from tests.support.talker import talker
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.way_clients import (
    INITIALIZED,
    call,
    cancelled,
    initialize,
    legacy,
    modern,
    text,
)
from tests.support.zoo import animal, zoo

LISTEN = {"notifications": {"toolsListChanged": True}}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
CHANGED = "notifications/tools/list_changed"


@pytest.fixture(scope="module", params=[1, 4])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Run a gateway before a server that talks back."""
    directory = tmp_path_factory.mktemp("c")
    config = zoo(animal("a", "tame"), talker("t", directory / "journal"), timeout="300s")
    with Gateway(config, workers=request.param, directory=directory) as gateway:
        yield gateway


@contextmanager
def _connected(gateway: Gateway, **capabilities: Any) -> Iterator[StdioClient]:
    """A legacy client that has initialized."""
    with StdioClient("connect", env=gateway.env) as client:
        assert client.ask(initialize(**capabilities))["result"]["protocolVersion"] == LEGACY
        client.say(INITIALIZED)
        yield client


def _journal(gateway: Gateway) -> list[str]:
    """Return what the talking server has noted."""
    path = gateway.directory / "journal"
    return path.read_text().split() if path.exists() else []


def _wait_for(gateway: Gateway, word: str, before: int) -> None:
    """Wait until the server has noted a word once more."""
    wait_until(lambda: _journal(gateway).count(word) > before, f"{word} is noted")


def _grow_until_told(client: StdioClient) -> None:
    """Have the tools change until the client hears of it: its stream opens when it can."""
    for number in range(1000):
        is_told = _hears_of_a_change(client, call(f"grow-{number}", "t__grow"))
        # The change is told by another way than the answer; this one may be overtaken.
        if _hears_of_a_change(client, call(f"next-{number}", "a__echo", text="x")) or is_told:
            return
    pytest.fail("the client never heard of a change")


def _hears_of_a_change(client: StdioClient, message: dict[str, Any]) -> bool:
    """Send a request; say whether the client heard of changed tools before the answer."""
    client.say(message)
    methods = set()
    while (heard := client.hear()).get("id") != message["id"]:
        methods.add(heard.get("method"))
    return CHANGED in methods


def test_a_call_reports_before_it_is_answered(gateway: Gateway) -> None:
    """Progress with the client's own token, and log messages."""
    with _connected(gateway) as client:
        client.say(legacy(1, "tools/call", name="t__report", _meta={"progressToken": 7}))
        progress, logged, answer = [client.hear() for _ in range(3)]
        assert progress["params"] == {"progressToken": 7, "progress": 1}
        assert logged["method"] == "notifications/message"
        assert answer["id"] == 1
        assert client.finish() == (0, b"", b"")


def test_a_server_asks_the_client_in_the_middle_of_a_call(gateway: Gateway) -> None:
    """The answer is a message of the client like any other."""
    with _connected(gateway, elicitation={}) as client:
        question = client.ask(call(1, "t__ask"))
        assert question["method"] == "elicitation/create"
        said = {"action": "accept", "content": {"name": "Ada"}}
        answer = client.ask({"jsonrpc": "2.0", "id": question["id"], "result": said})
        assert answer["id"] == 1
        assert '"Ada"' in text(answer)
        client.say({"jsonrpc": "2.0", "id": "nobody asked", "result": {}})
        assert client.ask(legacy(2, "ping"))["id"] == 2
        assert client.finish() == (0, b"", b"")


def test_many_calls_that_wait_hold_up_nothing(gateway: Gateway) -> None:
    """Each is a connection to the gateway; there is always room for one more."""
    with _connected(gateway, elicitation={}) as client:
        before = _journal(gateway).count("slow")
        client.say(*(call(n, "t__slow") for n in range(150)))
        wait_until(lambda: _journal(gateway).count("slow") == before + 150, "all calls run")
        question = client.ask(call("ask", "t__ask"))
        assert question["method"] == "elicitation/create"
        said = {"action": "decline"}
        answer = client.ask({"jsonrpc": "2.0", "id": question["id"], "result": said})
        assert answer["id"] == "ask"


def test_a_session_hears_of_changes(gateway: Gateway) -> None:
    """On a stream that the bridge opens once the client is initialized."""
    with _connected(gateway) as client:
        _grow_until_told(client)
        code, _, err = client.finish()
        assert (code, err) == (0, b"")


def test_a_subscription_is_told_of_changes_until_it_is_cancelled(gateway: Gateway) -> None:
    """Tagged with its id, beside others; the rest of the channel goes on."""
    with StdioClient("connect", env=gateway.env) as client:
        for name in ("l", 7):
            acknowledged = client.ask(modern(name, "subscriptions/listen", **LISTEN))
            assert acknowledged["params"]["_meta"][SUBSCRIPTION] == name
        grow = modern(1, "tools/call", name="t__grow", arguments={})
        client.say(grow)
        messages = [client.hear() for _ in range(3)]
        tags = [m["params"]["_meta"][SUBSCRIPTION] for m in messages if "method" in m]
        assert sorted(map(str, tags)) == ["7", "l"]
        client.say(cancelled("l"), {**grow, "id": 2})
        messages = [client.hear() for _ in range(2)]
        tags = [m["params"]["_meta"][SUBSCRIPTION] for m in messages if "method" in m]
        assert tags == [7]
        assert client.finish() == (0, b"", b"")


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_cancelled_call_is_stopped_at_its_server(gateway: Gateway, era: str) -> None:
    """Also when the cancellation is written right behind it; no answer follows."""
    with StdioClient("connect", env=gateway.env) as client:
        request = modern
        if era == "legacy":
            request = legacy
            client.ask(initialize())
            client.say(INITIALIZED)
        for is_late in (True, False):
            before, calls = (_journal(gateway).count(word) for word in ("cancelled", "slow"))
            client.say(request("c", "tools/call", name="t__slow", arguments={}))
            if is_late:
                _wait_for(gateway, "slow", calls)
            client.say(cancelled("c"))
            if is_late or era == "legacy":
                _wait_for(gateway, "cancelled", before)
        assert client.ask(request(2, "tools/list"))["id"] == 2
        assert client.finish() == (0, b"", b"")


def test_arguments_that_a_header_must_repeat_are_repeated(gateway: Gateway) -> None:
    """The client on stdio knows nothing of headers; the bridge reads the tool's schema."""
    with StdioClient("connect", env=gateway.env) as client:
        for number, said in enumerate(("größe", "plain")):
            request = modern(number, "tools/call", name="t__echo", arguments={"text": said})
            assert json.loads(text(client.ask(request))) == {"text": said}
        assert gateway.log.count('"outcome":"header_mismatch"') >= 1
        assert client.finish() == (0, b"", b"")


def test_a_worker_that_dies_costs_its_calls_and_no_stream(tmp_path: Path) -> None:
    """The call is answered with an error; the session's stream is opened again."""
    config = zoo(animal("a", "tame"), talker("t", tmp_path / "journal"), timeout="300s")
    with Gateway(config, directory=tmp_path) as gateway, _connected(gateway) as client:
        _grow_until_told(client)
        client.say(call("lost", "t__slow"))
        wait_until(lambda: "slow" in _journal(gateway), "the call is under way")
        os.kill(gateway.pids("worker")[0], signal.SIGKILL)
        lost = client.hear()
        assert (lost["id"], lost["error"]["code"]) == ("lost", 32003)
        wait_until(lambda: client.ask(legacy("p", "ping")).get("result") == {}, "a new worker")
        _grow_until_told(client)


def test_a_subscription_ends_in_both_ways_when_the_gateway_stops(tmp_path: Path) -> None:
    """By its result, and by the cancellation that says so on stdio."""
    config = zoo(animal("a", "tame"))
    with (
        Gateway(config, directory=tmp_path) as gateway,
        StdioClient("connect", env=gateway.env) as client,
    ):
        client.ask(modern("l", "subscriptions/listen", **LISTEN))
        gateway.stop()
        result, end = client.hear(), client.hear()
        assert (result["id"], result["result"]["resultType"]) == ("l", "complete")
        assert end["params"] == {"requestId": "l"}
        assert client.finish()[:2] == (0, b"")


def test_an_open_subscription_does_not_hold_up_the_end(gateway: Gateway) -> None:
    """Nor does a stream of a session: both are left when the input ends."""
    with _connected(gateway) as client:
        client.ask(modern("l", "subscriptions/listen", **LISTEN))
        assert client.finish() == (0, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_session_too(number: signal.Signals) -> None:
    """And a call that is under way."""
    with _site() as url, StdioClient("connect", url, env=os.environ) as client:
        client.ask(initialize())
        client.say(INITIALIZED, legacy(1, "hang"))
        wait_until(lambda: ("POST", "hang") in _Site.seen, "the call is under way")
        client.process.send_signal(number)
        assert client.finish()[0] == 128 + number
    assert _Site.seen[-1] == ("DELETE", "s1")


def test_a_client_that_reads_no_more_ends_the_bridge(gateway: Gateway) -> None:
    """Without a trace on standard error."""
    with _connected(gateway) as client:
        assert client.process.stdout is not None
        client.process.stdout.close()
        client.say(legacy(1, "ping"))
        client.process.wait(PATIENCE_S)
        assert client.process.stderr is not None
        assert client.process.stderr.read() == b""


def test_a_stream_is_resumed_where_it_broke() -> None:
    """The answer's stream and the session's, each by its last event; nothing is told twice."""
    with _site() as url, StdioClient("connect", url, env=os.environ) as client:
        client.ask(initialize())
        client.say(INITIALIZED)
        assert [client.hear()["method"] for _ in range(2)] == ["session/1", "session/2"]
        client.say(legacy(1, "broken"))
        assert [client.hear() for _ in range(2)] == [
            {"jsonrpc": "2.0", "method": "call/1"},
            {"jsonrpc": "2.0", "id": 1, "result": {}},
        ]
        client.say(legacy(2, "lost"))
        assert client.hear()["error"]["code"] == 32003
        client.finish()
    assert ("GET", "call-1") in _Site.seen
    assert ("GET", "session-1") in _Site.seen


@pytest.mark.parametrize("opens_after_s", [0.3, PATIENCE_S])
def test_what_the_client_says_next_waits_for_the_stream(
    opens_after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may cause what is told there; for a stream that does not open it waits some time."""
    monkeypatch.setattr(_Site, "opens_after_s", opens_after_s)
    with _site() as url, StdioClient("connect", url, env=os.environ) as client:
        client.ask(initialize())
        client.say(INITIALIZED, legacy(1, "hang"))
        wait_until(lambda: ("POST", "hang") in _Site.seen, "the request is sent")
        opens, sent = ("opens", "") in _Site.seen, _Site.seen.index(("POST", "hang"))
        assert opens is (opens_after_s < PATIENCE_S)
        assert not opens or _Site.seen.index(("opens", "")) < sent


class _Site(http.server.BaseHTTPRequestHandler):
    """An endpoint whose streams break after an event, and go on when they are asked for again."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str]]] = []
    released: ClassVar[threading.Event]
    opens_after_s: ClassVar[float] = 0

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = message["method"]
        self.seen.append(("POST", method))
        if method == "initialize":
            self._answer({"protocolVersion": LEGACY, "capabilities": {}, "serverInfo": {}}, message)
        elif method == "broken":
            self._stream([("call-1", {"method": "call/1"})])
        elif method == "lost":
            self._stream([])
        elif method == "hang":
            self.released.wait(PATIENCE_S)
        else:
            self._send(202, b"")

    def do_GET(self) -> None:
        last = self.headers.get("Last-Event-ID", "")
        self.seen.append(("GET", last))
        self.released.wait(self.opens_after_s)
        self.seen.append(("opens", last))
        if last == "call-1":
            self._stream([("call-2", {"id": 1, "result": {}})])
        elif last == "session-1":
            self._stream([("session-2", {"method": "session/2"})])
        elif not last:
            self._stream([("session-1", {"method": "session/1"})])
        else:
            self._send(405, b"")

    def do_DELETE(self) -> None:
        self.seen.append(("DELETE", self.headers["Mcp-Session-Id"]))
        self._send(200, b"")

    def _answer(self, result: Message, request: Message) -> None:
        body = {"jsonrpc": "2.0", "id": request["id"], "result": result}
        self._send(200, json.dumps(body).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Mcp-Session-Id", "s1")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, events: list[tuple[str, Message]]) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event_id, message in events:
            data = json.dumps({"jsonrpc": "2.0", **message})
            self.wfile.write(f"id: {event_id}\nretry: 10\ndata: {data}\n\n".encode())

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def _site() -> Iterator[str]:
    """Serve; yields the address."""
    _Site.seen.clear()
    _Site.released = threading.Event()
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=site.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{site.server_port}/mcp"
    finally:
        _Site.released.set()
        site.shutdown()
        site.server_close()
