"""Running `only1mcp` commands as a person or a script does."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The data in the JSON envelope, which must be all that was printed."""
        printed = json.loads(self.out)
        assert set(printed) == {"schema", "data"}
        assert printed["schema"].startswith("only1mcp.dev/v1/")
        return printed["data"]

    @property
    def error(self) -> dict[str, Any]:
        """The error in the JSON envelope, which must be all that was printed."""
        printed = json.loads(self.out)
        assert set(printed) == {"error"}
        error: dict[str, Any] = printed["error"]
        assert error["code"]
        assert error["message"]
        assert "hint" in error
        return error


def run_command(
    *arguments: str, env: Mapping[str, str], cwd: Path | None = None, stdin: str = "",
    program: tuple[str, ...] = (sys.executable, "-m", "only1mcp"),
) -> Done:  # fmt: skip
    """Run `only1mcp` with these arguments to its end."""
    done = subprocess.run(
        [*program, *arguments], env=dict(env), cwd=cwd, input=stdin, timeout=_TIMEOUT_S,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)
