"""Official SDK clients that come by SSE, by WebSocket or on stdio run the same errand."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.fixture import Fixture
from tests.real.installed import ALLOWED, CLIENTS, FOLDER, NODE, PY1, PY2, ROOT, node_server
from tests.support.gateway import Gateway
from tests.support.mcp_client import LEGACY, MODERN

pytestmark = pytest.mark.real
CLIENT_TIMEOUT_S = 90.0
EVERYTHING = {"trigger-sampling-request", "trigger-elicitation-request", "get-roots-list"}
"""Tools of server-everything that only clients are offered who can be asked."""


@dataclass(frozen=True)
class Client:
    """One SDK on one way in, and the revision that it must settle on."""

    id: str
    command: tuple[str, ...]
    way: str
    version: str = LEGACY
    cancels: bool = True

    @property
    def folder(self) -> Path:
        """Where it runs."""
        return FOLDER if self.command[0] == NODE else ROOT


def _python1(way: str) -> Client:
    command = (PY1, "-m", "tests.real.clients.py1_errand", way)
    return Client(f"python1-{way}", command, way, cancels=False)


def _python2(mode: str, way: str) -> Client:
    command = (PY2, "-m", "tests.real.clients.py2_errand", mode)
    return Client(f"python2-{mode}-{way}", command, way, MODERN if mode == "auto" else LEGACY)


def _typescript(mode: str, way: str, version: str = LEGACY) -> Client:
    kind = way if way in ("sse", "websocket") else "stdio"
    command = (NODE, str(CLIENTS / "ts_errand.mjs"), mode, kind)
    return Client(f"typescript-{mode}-{way}", command, way, version)


ALL_CLIENTS = [
    *[_python1(way) for way in ("sse", "websocket")],
    *[_python2(mode, way) for mode in ("auto", "legacy") for way in ("connect", "start")],
    *[_typescript("v1", way) for way in ("sse", "websocket", "connect", "start")],
    *[_typescript("auto", way, MODERN) for way in ("connect", "start")],
    _typescript("default", "connect"),
]


class Stage:
    """The servers, the gateway, and what is needed to start another one on stdio."""

    def __init__(self, gateway: Gateway, config: Path) -> None:
        self._gateway = gateway
        self._config = config

    def send(self, client: Client) -> dict[str, Any]:
        """Have a client run the errand; returns what it saw."""
        done = subprocess.run(
            [*client.command, *self._target(client)], cwd=client.folder, env=self._gateway.env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=CLIENT_TIMEOUT_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{client.id}: {done.stderr[-3000:]}"
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen

    def _target(self, client: Client) -> list[str]:
        base = f"127.0.0.1:{self._gateway.port}"
        program = [sys.executable, "-m", "only1mcp"]
        return {
            "sse": [f"http://{base}/sse"],
            "websocket": [f"ws://{base}/ws"],
            "connect": [*program, "connect", self._gateway.url],
            "start": [*program, "start", "--stdio", "--config", str(self._config)],
        }[client.way]


@pytest.fixture(scope="module")
def errands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Have all clients run the errand, some at a time; yields what each saw, or why it failed."""
    directory = tmp_path_factory.mktemp("e")
    with Fixture() as fixture:
        config = {
            "proxy": {"handshake_timeout": "30s", "listen": {"websocket": True, "sse": True}},
            "stdio": {"allowed_commands": ALLOWED},
            "servers": [
                {"id": "conf", "url": fixture.url},
                node_server("everything", "server-everything", "stdio"),
            ],
        }
        with Gateway(config, workers=2, directory=directory) as gateway:
            stage = Stage(gateway, directory / "config.yaml")
            with ThreadPoolExecutor(3) as pool:
                running = {one.id: pool.submit(stage.send, one) for one in ALL_CLIENTS}
            yield running


@pytest.fixture(params=[pytest.param(client, id=client.id) for client in ALL_CLIENTS])
def client(request: pytest.FixtureRequest) -> Client:
    """Return one client."""
    one: Client = request.param
    return one


@pytest.fixture
def seen(client: Client, errands: dict[str, Any]) -> dict[str, Any]:
    """Return what it saw."""
    result: dict[str, Any] = errands[client.id].result()
    return result


def test_a_client_settles_on_the_revision_of_its_era(client: Client, seen: dict[str, Any]) -> None:
    """As over Streamable HTTP."""
    assert seen.get("version", client.version) == client.version


def test_a_client_sees_what_is_offered_to_clients_that_can_be_asked(seen: dict[str, Any]) -> None:
    """Its capabilities have reached the servers."""
    assert {f"everything__{name}" for name in EVERYTHING} <= set(seen["tools"])
    assert "conf__test_sampling" in seen["tools"]
    assert seen["echo"] == "Echo: größe"


def test_a_client_hears_progress_and_log_messages_of_its_calls(
    client: Client, seen: dict[str, Any]
) -> None:
    """Before their answers, in order."""
    expected = [[0, 100], [50, 100], [100, 100]]
    if client.command[0] == NODE:  # the SDK forgets reports that it reads together with the answer
        expected = expected[: len(seen["progress"])]
    assert seen["progress"] == expected
    assert expected
    words = [line for line in seen["logged"] if "Tool" in str(line)]
    assert words == [
        "Tool execution started", "Tool processing data", "Tool execution completed",
    ]  # fmt: skip


def test_a_client_is_asked_by_servers(seen: dict[str, Any]) -> None:
    """Over HTTP and on stdio: its model, its user and its roots."""
    assert seen["sampled"] == "LLM response: I hear: one"
    assert '"Ada"' in seen["elicited"]
    assert "I hear: Resource trigger-sampling-request context: three" in seen["sampled_on_stdio"]
    assert "Ada" in seen["elicited_on_stdio"]
    assert "file:///errand" in seen["roots"]


def test_a_client_hears_that_tools_have_changed(seen: dict[str, Any]) -> None:
    """On its session's stream, or on its subscription."""
    assert seen["changed"] is True


def test_a_client_that_leaves_a_call_goes_on(client: Client, seen: dict[str, Any]) -> None:
    """Where its SDK can take a call back."""
    assert seen.get("cancelled") == ("Echo: still" if client.cancels else None)
