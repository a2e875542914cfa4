"""The server of `task_server.py` as a process of its own."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent
_COMMAND = [sys.executable, "-m", "tests.support.task_server"]


class TaskSite:
    """Runs over HTTP for the time of a `with` block.

    Args:
        name: what its tools say they are.
    """

    def __init__(self, name: str = "tasks") -> None:
        self._command = [*_COMMAND, "--name", name]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, f"{self._command} ended with code {self._process.wait()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def on_a_pipe(server_id: str) -> dict[str, Any]:
    """Declare it as a stdio server of a gateway."""
    command, *args = [*_COMMAND, "--stdio", "--name", server_id]
    return {"id": server_id, "command": command, "args": args, "cwd": str(ROOT)}
