"""A client that has started `only1mcp` as its stdio server."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from tests.support.waiting import PATIENCE_S

Message = dict[str, Any]


class StdioClient:
    """A running `only1mcp ARGUMENTS`, as the client that started it sees it."""

    def __init__(
        self, *arguments: str, env: Mapping[str, str], cwd: Path | None = None,
        stderr: IO[bytes] | int = subprocess.PIPE,
    ) -> None:  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "only1mcp", *arguments], env=dict(env), cwd=cwd,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def say(self, *messages: Message | bytes) -> None:
        """Write messages, each on a line."""
        raw = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
        _pipe(self.process.stdin).write(b"".join(line + b"\n" for line in raw))
        _pipe(self.process.stdin).flush()

    def hear(self) -> Any:
        """Read one message."""
        message: Any = json.loads(_pipe(self.process.stdout).readline())
        return message

    def ask(self, message: Message) -> Message:
        """Say a request and read the next message."""
        self.say(message)
        answer: Message = self.hear()
        return answer

    def finish(self) -> tuple[int, bytes, bytes]:
        """Close the input; returns the exit code and what else was printed."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err or b""


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
