"""Seven real servers over both transports, with something in them to find."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.real.installed import ALLOWED, PY1, PY2, node_server, python_server

TOOLS = {
    "everything": 13, "everything-http": 13, "files": 14, "memory": 9, "git": 12, "time": 2,
    "old-time": 2,
}  # fmt: skip
"""How many tools each server offers; their versions are pinned."""
NOTE = "the note in the file"
COMMIT = "the one commit"
ENTITY = "the first entity"


class Fleet:
    """The servers' configuration and the files that they work on."""

    def __init__(self, directory: Path, http_url: str) -> None:
        self.note = directory / "files" / "note.txt"
        self.repository = directory / "repository"
        self._graph = directory / "graph.json"
        self._http_url = http_url
        self.note.parent.mkdir()
        self.note.write_text(NOTE)
        entity = {"type": "entity", "name": ENTITY, "entityType": "fact", "observations": []}
        self._graph.write_text(json.dumps(entity))
        _make_repository(self.repository)

    def config(self) -> dict[str, Any]:
        """Return a configuration with all servers."""
        utc = ("--local-timezone", "UTC")
        return {
            "stdio": {"allowed_commands": ALLOWED},
            # They start all at once, on whatever machine this is.
            "proxy": {"handshake_timeout": "30s"},
            "servers": [
                node_server("everything", "server-everything", "stdio"),
                {"id": "everything-http", "url": self._http_url},
                node_server("files", "server-filesystem", str(self.note.parent)),
                node_server("memory", "server-memory", MEMORY_FILE_PATH=str(self._graph)),
                python_server("git", PY2, "mcp_server_git", "--repository", str(self.repository)),
                python_server("time", PY2, "mcp_server_time", *utc),
                python_server("old-time", PY1, "mcp_server_time", *utc),
            ],
        }


def _make_repository(path: Path) -> None:
    who = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.com"]
    subprocess.run(["git", "init", "--quiet", path], check=True)
    subprocess.run(
        ["git", *who, "commit", "--quiet", "--allow-empty", "-m", COMMIT], cwd=path, check=True
    )
