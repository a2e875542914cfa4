"""The Inspector's command line, which tries servers out: every way in, in both eras."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.conformance.fixture import Fixture
from tests.real.installed import ALLOWED, FOLDER, NODE, node_server
from tests.support.gateway import Gateway
from tests.support.mcp_client import LEGACY, MODERN

pytestmark = pytest.mark.real
PROGRAM = FOLDER / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
TIMEOUT_S = 60.0
WAYS = ("http", "sse", "connect", "start")
ERAS = {"legacy": LEGACY, "modern": MODERN}
STARTED = ("hello", "sum")
"""What is enough where each command starts a gateway of its own."""
COMMANDS = {
    "hello": ("initialize",),
    "tools": ("tools/list",),
    "sum": ("tools/call", "--tool-name", "everything__get-sum", "--tool-arg", "a=40", "b=2"),
    "logging": ("tools/call", "--tool-name", "conf__test_tool_with_logging"),
    "resource": ("resources/read", "--uri", "test://static-text"),
    "prompt": ("prompts/get", "--prompt-name", "conf__test_simple_prompt"),
}
Runs = dict[tuple[str, str, str], Future[Any]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Run every command on every way in and in both eras, some at a time."""
    directory = tmp_path_factory.mktemp("i")
    with Fixture() as fixture:
        config = {
            "proxy": {"handshake_timeout": "30s", "listen": {"sse": True}},
            "stdio": {"allowed_commands": ALLOWED},
            "servers": [
                {"id": "conf", "url": fixture.url},
                node_server("everything", "server-everything", "stdio"),
            ],
        }
        with Gateway(config, workers=2, directory=directory) as gateway:
            with ThreadPoolExecutor(3) as pool:
                started = {
                    (way, era, name): pool.submit(_run, gateway, way, era, command)
                    for way in WAYS for era in ERAS for name, command in COMMANDS.items()
                    if way != "start" or name in STARTED
                }  # fmt: skip
            yield started


def _run(gateway: Gateway, way: str, era: str, command: tuple[str, ...]) -> Any:
    """Run one command; returns what it printed, parsed."""
    program = [sys.executable, "-m", "only1mcp"]
    target = {
        "http": [gateway.url],
        "sse": [gateway.url.replace("/mcp", "/sse")],
        "connect": [*program, "connect", gateway.url],
        "start": [*program, "start", "--stdio"],
    }[way]
    given = {**gateway.env, "ONLY1MCP_CONFIG": str(gateway.directory / "config.yaml")}
    for name in sorted(given) if way in ("connect", "start") else ():
        if name.startswith("ONLY1MCP_") or name == "PYTHONPATH":
            target += ["-e", f"{name}={given[name]}"]
    done = subprocess.run(
        [NODE, str(PROGRAM), "--cli", *target, "--protocol-era", era, "--method", *command],
        env={**gateway.env, "HOME": str(gateway.directory)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Return a way in."""
    name: str = request.param
    return name


@pytest.mark.parametrize("era", ERAS)
def test_the_inspector_settles_on_the_revision_that_it_was_told(
    runs: Runs, way: str, era: str
) -> None:
    """And shows who answers."""
    hello = runs[way, era, "hello"].result()
    assert hello["protocolVersion"] == ERAS[era]
    assert hello["serverInfo"]["name"] == "only1mcp"


@pytest.mark.parametrize("era", ERAS)
def test_the_inspector_shows_and_calls_what_both_servers_offer(
    runs: Runs, way: str, era: str
) -> None:
    """Tools, resources and prompts."""

    def printed(name: str) -> Any:
        return runs[way, era, name].result()

    assert printed("sum")["content"][0]["text"] == "The sum of 40 and 2 is 42."
    if way == "start":
        return
    names = {tool["name"] for tool in printed("tools")["tools"]}
    assert {"conf__test_simple_text", "everything__echo"} <= names
    assert printed("logging")["content"][0]["text"] == "Three messages were logged."
    assert printed("resource")["contents"][0]["uri"] == "test://static-text"
    assert printed("prompt")["messages"]
