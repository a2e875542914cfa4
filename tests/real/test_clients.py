"""Every official SDK client takes the same journey through the gateway to seven real servers."""

import json
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.real.fleet import COMMIT, ENTITY, NOTE, TOOLS, Fleet
from tests.real.http_server import HttpServer
from tests.real.installed import CLIENTS, FOLDER, NODE, PY1, PY2, ROOT, program
from tests.support.gateway import Gateway

pytestmark = pytest.mark.real
LEGACY, MODERN = "2025-11-25", "2026-07-28"
DOCUMENTS = program("server-everything").parent / "docs"
DOCUMENT = "demo://resource/static/document/features.md"
CLIENT_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Client:
    """One way of one SDK to talk to us, and the revision that it must settle on."""

    id: str
    command: tuple[str, ...]
    folder: Path
    version: str


def _python(name: str, python: str, generation: str, mode: str, version: str) -> Client:
    module = f"tests.real.clients.{generation}_client"
    return Client(name, (python, "-m", module, mode), ROOT, version)


def _typescript(name: str, mode: str, version: str) -> Client:
    return Client(name, (NODE, str(CLIENTS / "ts_client.mjs"), mode), FOLDER, version)


ALL_CLIENTS = [
    _python("python2-auto", PY2, "py2", "auto", MODERN),
    _python("python2-pinned", PY2, "py2", MODERN, MODERN),
    _python("python2-legacy", PY2, "py2", "legacy", LEGACY),
    _python("python1", PY1, "py1", "legacy", LEGACY),
    _typescript("typescript2-default", "default", LEGACY),
    _typescript("typescript2-auto", "auto", MODERN),
    _typescript("typescript2-pinned", MODERN, MODERN),
    _typescript("typescript1", "v1", LEGACY),
]


@dataclass
class Seen:
    """What one client saw; if it failed, why."""

    client: Client
    printed: str
    failure: str

    @property
    def data(self) -> dict[str, Any]:
        """What it printed."""
        assert not self.failure, self.failure
        data: dict[str, Any] = json.loads(self.printed)
        return data

    def said(self, number: int) -> str:
        """Return the text that the journey's tool call of this number returned."""
        result = self.data["calls"][number]
        assert not result.get("isError"), result
        text: str = result["content"][0]["text"]
        return text


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((1, False), id="1-compiled"),
        pytest.param((4, False), id="4-compiled"),
        pytest.param((1, True), id="1-pure"),
        pytest.param((4, True), id="4-pure"),
    ],
)
def journeys(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
    everything_http: HttpServer,
) -> dict[str, Seen]:  # fmt: skip
    """Have all clients take the journey through one gateway, at the same time."""
    workers, pure = request.param
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), everything_http.url)
    with Gateway(fleet.config(), workers=workers, pure=pure) as gateway:
        assert gateway.status()["accel"] == ("pure" if pure else "cython")
        with ThreadPoolExecutor(len(ALL_CLIENTS)) as pool:
            seen = pool.map(lambda client: _travel(client, gateway, fleet), ALL_CLIENTS)
            return {one.client.id: one for one in seen}


@pytest.fixture(params=[pytest.param(client.id, id=client.id) for client in ALL_CLIENTS])
def seen(request: pytest.FixtureRequest, journeys: dict[str, Seen]) -> Seen:
    """Return what one client saw."""
    return journeys[request.param]


def _travel(client: Client, gateway: Gateway, fleet: Fleet) -> Seen:
    *command, mode = client.command
    done = subprocess.run(
        [*command, gateway.url, mode], cwd=client.folder, input=json.dumps(_journey(client, fleet)),
        capture_output=True, text=True, check=False, timeout=CLIENT_TIMEOUT_S,
    )  # fmt: skip
    return Seen(client, done.stdout, done.stderr if done.returncode else "")


def _journey(client: Client, fleet: Fleet) -> dict[str, Any]:
    """Return the same steps for every client; only what it writes down bears its name."""
    entity = {"name": client.id, "entityType": "client", "observations": []}
    noon = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    completable = {"type": "ref/prompt", "name": "everything__completable-prompt"}
    template = {"type": "ref/resource", "uri": "demo://resource/dynamic/text/{resourceId}"}
    return {
        "calls": [
            {"name": "everything__echo", "arguments": {"message": f"hello from {client.id}"}},
            {"name": "everything-http__get-sum", "arguments": {"a": 2, "b": 40}},
            {"name": "files__read_text_file", "arguments": {"path": str(fleet.note)}},
            {"name": "memory__create_entities", "arguments": {"entities": [entity]}},
            {"name": "git__git_log", "arguments": {"repo_path": str(fleet.repository)}},
            {"name": "time__convert_time", "arguments": noon},
            {"name": "old-time__convert_time", "arguments": noon},
            {"name": "everything__get-structured-content", "arguments": {"location": "New York"}},
        ],
        "reads": [DOCUMENT, "demo://resource/dynamic/text/7", "memory://knowledge-graph"],
        "prompts": [
            {"name": "everything__args-prompt", "arguments": {"city": "Bern", "state": "BE"}},
            {"name": "everything-http__args-prompt", "arguments": {"city": "Oslo"}},
        ],
        "completions": [
            {"ref": completable, "argument": {"name": "department", "value": "S"}},
            {
                "ref": completable, "argument": {"name": "name", "value": "D"},
                "context": {"arguments": {"department": "Sales"}},
            },
            {"ref": template, "argument": {"name": "resourceId", "value": "7"}},
        ],
    }  # fmt: skip


def test_a_client_settles_on_the_revision_of_its_era(seen: Seen) -> None:
    """Whatever era the servers are of, the client speaks its own with the gateway."""
    assert seen.data["version"] == seen.client.version
    # This client trusts its pin and asks nobody who answers.
    name = None if seen.client.id == "python2-pinned" else "only1mcp"
    assert seen.data["server"] == name


def test_a_client_lists_all_that_the_servers_offer(seen: Seen) -> None:
    """Every server's tools, prompts, resources and templates are there, each once."""
    data = seen.data
    assert Counter(name.partition("__")[0] for name in data["tools"]) == TOOLS
    assert len(set(data["tools"])) == len(data["tools"])
    names = ("simple-prompt", "args-prompt", "completable-prompt", "resource-prompt")
    assert sorted(data["prompts"]) == sorted(
        f"{server}__{name}" for server in ("everything", "everything-http") for name in names
    )
    documents = [f"demo://resource/static/document/{path.name}" for path in DOCUMENTS.iterdir()]
    assert sorted(data["resources"]) == sorted([*documents, "memory://knowledge-graph"])
    assert sorted(data["templates"]) == [
        "demo://resource/dynamic/blob/{resourceId}", "demo://resource/dynamic/text/{resourceId}",
    ]  # fmt: skip


def test_a_client_calls_a_tool_of_every_server(seen: Seen) -> None:
    """Each call reaches the server that its prefix names, and its answer comes back whole."""
    assert seen.said(0) == f"Echo: hello from {seen.client.id}"
    assert seen.said(1) == "The sum of 2 and 40 is 42."
    assert seen.said(2) == NOTE
    assert seen.client.id in seen.said(3)
    assert COMMIT in seen.said(4)
    for number in (5, 6):
        assert json.loads(seen.said(number))["time_difference"] == "+9.0h"


def test_a_client_gets_structured_content(seen: Seen) -> None:
    """The structured part of a result says the same as its text."""
    assert json.loads(seen.said(7)) == seen.data["calls"][7]["structuredContent"]


def test_a_client_reads_resources_of_several_servers(seen: Seen) -> None:
    """A listed resource, one of a template, and one of another server are read by their URIs."""
    document, dynamic, graph = (contents[0] for contents in seen.data["reads"])
    assert document["text"] == (DOCUMENTS / "features.md").read_text()
    assert dynamic["text"].startswith("Resource 7: This is a plaintext resource")
    # Not the client's own entity: the server loses writes of clients that come at the same time.
    assert ENTITY in [entity["name"] for entity in json.loads(graph["text"])["entities"]]


def test_a_client_gets_prompts_with_their_arguments(seen: Seen) -> None:
    """Prompts of both servers come back with the arguments filled in."""
    said = [messages[0]["content"]["text"] for messages in seen.data["got"]]
    assert said == ["What's weather in Bern, BE?", "What's weather in Oslo?"]


def test_a_client_completes_arguments(seen: Seen) -> None:
    """Prompt arguments, with and without context, and template variables are completed."""
    assert seen.data["completions"] == [["Sales", "Support"], ["David"], ["7"]]
