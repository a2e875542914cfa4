"""The server of the suite as a process: what a gateway under test stands in front of."""

import subprocess
from types import TracebackType
from typing import Self

from tests.real.installed import PY2, ROOT


class Fixture:
    """Runs `tests.support.conformance_server` for the time of a `with` block.

    Args:
        era: the revisions that it speaks: dual, modern or legacy.
    """

    def __init__(self, era: str = "dual") -> None:
        self._command = [PY2, "-m", "tests.support.conformance_server", "--era", era]
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
