"""The server of `task_server.py` as a process of its own."""

import sys
from typing import Any

from tests.support.own_server import ROOT, OwnServer

_COMMAND = [sys.executable, "-m", "tests.support.task_server"]


class TaskSite(OwnServer):
    """Runs over HTTP for the time of a `with` block.

    Args:
        name: what its tools say they are.
    """

    def __init__(self, name: str = "tasks") -> None:
        super().__init__([*_COMMAND, "--name", name])


def on_a_pipe(server_id: str) -> dict[str, Any]:
    """Declare it as a stdio server of a gateway."""
    command, *args = [*_COMMAND, "--stdio", "--name", server_id]
    return {"id": server_id, "command": command, "args": args, "cwd": str(ROOT)}
