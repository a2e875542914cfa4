"""`only1mcp connect`: MCP on standard input and output, carried to the gateway."""

import contextlib
import http.server
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import LEGACY, META
from tests.support.stdio_client import StdioClient
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.zoo import animal, zoo


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run the demonstration with two workers."""
    with Gateway(None, workers=2) as gateway:
        yield gateway


class _Bridge(StdioClient):
    """A running `connect`."""

    def __init__(self, gateway: Gateway, *arguments: str) -> None:
        super().__init__("connect", *arguments, env=gateway.env)


def _modern(request_id: object, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method,
            "params": {**params, "_meta": META}}  # fmt: skip


def _legacy(request_id: object, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def _initialize() -> dict[str, Any]:
    info = {"name": "desk", "version": "1"}
    return _legacy(0, "initialize", protocolVersion=LEGACY, capabilities={}, clientInfo=info)


_INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def _text(message: dict[str, Any]) -> str:
    text: str = message["result"]["content"][0]["text"]
    return text


def test_a_modern_session_needs_no_greeting(gateway: Gateway) -> None:
    """Each message stands for itself; ids of any form come back as they were."""
    with _Bridge(gateway) as bridge:
        bridge.say(_modern("d", "server/discover"))
        assert bridge.hear()["result"]["supportedVersions"] == ["2026-07-28"]
        bridge.say(_modern(-7, "tools/call", name="demo-calc__add", arguments={"a": 1, "b": 2}))
        answer = bridge.hear()
        assert (answer["id"], _text(answer)) == (-7, "3")
        assert bridge.finish() == (0, b"", b"")


def test_a_legacy_session_is_opened_and_ended(gateway: Gateway) -> None:
    """The bridge keeps the session id, and ends the session when its input ends."""
    with _Bridge(gateway) as bridge:
        bridge.say(_initialize())
        assert bridge.hear()["result"]["protocolVersion"] == LEGACY
        bridge.say(_INITIALIZED, _legacy(1, "tools/list"), _legacy("two", "ping"))
        answers = {str(m["id"]): m["result"] for m in (bridge.hear(), bridge.hear())}
        assert answers["two"] == {}
        assert "demo-time__now" in {tool["name"] for tool in answers["1"]["tools"]}
        before = len(gateway.log)
        assert bridge.finish() == (0, b"", b"")
    assert '"level":"warning"' not in gateway.log[before:]


class _Site(http.server.BaseHTTPRequestHandler):
    """Opens the session `s1`, and answers anything else as a proxy does that is unwell."""

    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((message["method"], self.headers["Mcp-Session-Id"]))
        opens = message["method"] == "initialize"
        result = {"protocolVersion": LEGACY, "capabilities": {}, "serverInfo": {}}
        body = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        self._send(200 if opens else 502, json.dumps(body) if opens else "<h1>Bad Gateway</h1>")

    def do_DELETE(self) -> None:
        self.seen.append(("DELETE", self.headers["Mcp-Session-Id"]))
        self._send(200, "")

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if text[:1] == "{" else "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Mcp-Session-Id", "s1")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def test_the_session_ends_with_the_input_whatever_stands_between(gateway: Gateway) -> None:
    """DELETE with the session's id comes last; an answer that is not MCP is an error."""
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=site.serve_forever).start()
    try:
        with _Bridge(gateway, f"http://127.0.0.1:{site.server_port}/mcp") as bridge:
            bridge.say(_initialize())
            assert "result" in bridge.hear()
            bridge.say(_legacy(9, "ping"))
            answer = bridge.hear()
            assert (answer["id"], answer["error"]["code"]) == (9, 32005)
            assert "HTTP 502" in answer["error"]["message"]
            assert bridge.finish() == (0, b"", b"")
    finally:
        site.shutdown()
        site.server_close()
    assert _Site.seen == [("initialize", None), ("ping", "s1"), ("DELETE", "s1")]


def test_a_message_that_the_gateway_refuses_unread_is_answered_all_the_same(
    gateway: Gateway,
) -> None:
    """The body is too large for the gateway to read its id; the bridge knows it."""
    with _Bridge(gateway) as bridge:
        bridge.say(_modern(1, "tools/call", name="x", arguments={"text": "x" * 5_000_000}))
        answer = bridge.hear()
        assert (answer["id"], answer["error"]["code"]) == (1, -32600)
        assert "the body passes 4194304 bytes" in answer["error"]["message"]
        bridge.say(_modern(2, "tools/list"))
        assert bridge.hear()["id"] == 2
        assert bridge.finish()[0] == 0


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_many_requests_run_side_by_side(gateway: Gateway, era: str) -> None:
    """Fast answers overtake slow ones, and every answer has the id of its request."""
    request = _modern if era == "modern" else _legacy
    with _Bridge(gateway) as bridge:
        if era == "legacy":
            bridge.say(_initialize())
            bridge.hear()
            bridge.say(_INITIALIZED)
        slow = request("slow", "tools/call", name="demo-calc__slow", arguments={"ms": 1500})
        calls = [
            request(n, "tools/call", name="demo-calc__add", arguments={"a": n, "b": 1})
            for n in range(200)
        ]
        bridge.say(slow, *calls)
        answers = [bridge.hear() for _ in range(201)]
        assert answers[-1]["id"] == "slow"
        assert {message["id"]: _text(message) for message in answers[:-1]} == {
            n: str(n + 1) for n in range(200)
        }
        assert bridge.finish() == (0, b"", b"")


def test_what_is_under_way_at_the_end_of_input_is_answered(gateway: Gateway) -> None:
    """A script may write its requests, close the pipe, and read."""
    with _Bridge(gateway) as bridge:
        bridge.say(_modern(1, "tools/call", name="demo-calc__slow", arguments={"ms": 500}))
        code, out, _ = bridge.finish()
        assert code == 0
        assert _text(json.loads(out)) == "answered after 500 ms"


def test_requests_may_come_from_a_file(gateway: Gateway, tmp_path: Path) -> None:
    """`only1mcp connect < requests.jsonl` works as a pipe does."""
    path = tmp_path / "requests.jsonl"
    path.write_text(json.dumps(_modern(1, "tools/list")) + "\n")
    with path.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "only1mcp", "connect"], env=gateway.env, stdin=file,
            capture_output=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["id"] == 1


def test_errors_are_answers(gateway: Gateway) -> None:
    """What the gateway refuses is answered, what is not JSON as well, and the bridge goes on."""
    with _Bridge(gateway) as bridge:
        bridge.say(b"{not json")
        assert bridge.hear()["error"]["code"] == -32700
        bridge.say(b'[{"jsonrpc": "2.0", "id": 4, "method": "ping"}]')
        (answer,) = bridge.hear()  # of a batch that was refused: each of its requests is
        assert (answer["id"], answer["error"]["code"]) == (4, -32600)
        bridge.say(_modern(5, "no/such/method"))
        answer = bridge.hear()
        assert (answer["id"], answer["error"]["code"]) == (5, -32601)
        bridge.say(_modern(6, "tools/call", name="nobody__x", arguments={}))
        assert bridge.hear()["error"]["code"] == -32602
        bridge.say(_modern(7, "tools/call", name="demo-time__now", arguments={}))
        assert "UTC" in _text(bridge.hear())
        assert bridge.finish()[0] == 0


def test_names_beyond_ascii_pass(gateway: Gateway) -> None:
    """The header that repeats a name is encoded, so the gateway can compare it."""
    with _Bridge(gateway) as bridge:
        bridge.say(_modern(1, "tools/call", name="nobody__größe", arguments={}))
        assert "größe" in bridge.hear()["error"]["message"]
        assert bridge.finish()[0] == 0


def test_a_cancelled_request_is_abandoned(tmp_path: Path) -> None:
    """A modern client's cancellation ends the request at the gateway; no answer follows."""
    journal = tmp_path / "journal"
    config = zoo(animal("a", "deaf", journal), animal("b", "tame"), timeout="300s")
    with Gateway(config, directory=tmp_path) as gateway, _Bridge(gateway) as bridge:
        bridge.say(_modern(1, "tools/call", name="a__act", arguments={}))
        wait_until(journal.exists, "the call is under way")
        bridge.say({"jsonrpc": "2.0", "method": "notifications/cancelled",
                    "params": {"requestId": 1}})  # fmt: skip
        wait_until(lambda: '"outcome":"cancelled"' in gateway.log, "the gateway has dropped it")
        bridge.say(_modern(2, "tools/call", name="b__echo", arguments={"text": "x"}))
        assert bridge.hear()["id"] == 2
        assert bridge.finish() == (0, b"", b"")


def test_a_session_goes_on_when_its_gateway_is_replaced(tmp_path: Path) -> None:
    """Between two gateways requests are answered with an error; then all is well again."""
    config = zoo(animal("a", "tame"))
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Gateway(config, directory=tmp_path))
        bridge = stack.enter_context(_Bridge(first))
        bridge.say(_initialize())
        bridge.hear()
        assert first.stop() == 143
        bridge.say(_legacy(1, "ping"))
        answer = bridge.hear()
        assert (answer["id"], answer["error"]["code"]) == (1, 32001)
        assert "only1mcp start" in answer["error"]["message"]
        stack.enter_context(Gateway(config, directory=tmp_path, port=first.port))
        bridge.say(_legacy(2, "tools/call", name="a__echo", arguments={"text": "again"}))
        assert _text(bridge.hear()) == "again"
        code, out, _ = bridge.finish()
        assert (code, out) == (0, b"")


def test_the_bridge_ends_well_when_the_gateway_is_gone(tmp_path: Path) -> None:
    """A session that nobody can end any more does not make the exit a failure."""
    config = zoo(animal("a", "tame"))
    with Gateway(config, directory=tmp_path) as gateway, _Bridge(gateway) as bridge:
        bridge.say(_initialize())
        bridge.hear()
        gateway.stop()
        assert bridge.finish() == (0, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_bridge(gateway: Gateway, number: signal.Signals) -> None:
    """Clients that end their servers by a signal see no trace on standard error."""
    with _Bridge(gateway) as bridge:
        bridge.say(_initialize())
        bridge.hear()
        bridge.process.send_signal(number)
        _, err = bridge.process.communicate(timeout=PATIENCE_S)
        assert bridge.process.returncode in (128 + number, -number)
        assert b"Traceback" not in err


def test_the_gateway_can_be_named_by_url_or_by_port(gateway: Gateway) -> None:
    """As an argument, as --url, or as --port."""
    for arguments in ([gateway.url], ["--url", gateway.url], ["--port", str(gateway.port)]):
        with _Bridge(gateway, *arguments) as bridge:
            bridge.say(_modern(1, "tools/list"))
            assert bridge.hear()["id"] == 1
            assert bridge.finish() == (0, b"", b"")
