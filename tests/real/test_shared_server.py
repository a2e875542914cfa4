"""One process of a stdio server serves all workers: there is one state, whoever asks."""

import json
from pathlib import Path

import pytest

from only1mcp.transports.stdio import descendants
from tests.real.installed import ALLOWED, node_server
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient
from tests.support.waiting import wait_until

pytestmark = pytest.mark.real
WORKERS = 4
WRITERS = 12


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_all_workers_share_one_server_memory(tmp_path: Path, pure: bool) -> None:
    """What clients of any worker write, clients of every worker read, from one child process."""
    memory = node_server("memory", "server-memory", MEMORY_FILE_PATH=str(tmp_path / "graph.json"))
    config = {"stdio": {"allowed_commands": ALLOWED}, "servers": [memory]}
    with Gateway(config, workers=WORKERS, pure=pure) as gateway:
        names = {f"entity {number}" for number in range(WRITERS)}
        for name in sorted(names):
            _write(gateway, name)
        wait_until(lambda: _answering_workers(gateway, names) == WORKERS, "every worker was asked")
        assert _children(gateway, "server-memory") == [gateway.server("memory")["pid"]]
        assert gateway.server("memory")["restarts"] == 0


def _write(gateway: Gateway, name: str) -> None:
    """Make an entity, on a connection of its own."""
    with McpClient(gateway.port) as client:
        entity = {"name": name, "entityType": "test", "observations": []}
        client.call("memory__create_entities", entities=[entity])


def _answering_workers(gateway: Gateway, names: set[str]) -> int:
    """Read everything on a new connection; return how many workers have answered a read so far."""
    with McpClient(gateway.port) as client:
        client.initialize()
        graph = json.loads(client.call("memory__read_graph"))
    assert {entity["name"] for entity in graph["entities"]} == names
    lines = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    return len({line["process"] for line in lines if line.get("tool") == "memory__read_graph"})


def _children(gateway: Gateway, program: str) -> list[int]:
    """Return the pids of all processes of the gateway that run a program."""
    found = []
    for pid in descendants(gateway.pid):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if program.encode() in command:
            found.append(pid)
    return found
