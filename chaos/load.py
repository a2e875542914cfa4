"""Calls at a fixed rate from a process of their own, while something else happens."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

LOST = "connection lost"
_GRACE_S = 60.0


@dataclass(slots=True)
class Load:
    """One run of the generator; its figures are there once it has ended."""

    process: subprocess.Popen[str]
    seconds: float
    """For how long calls are sent."""
    report: dict[str, Any]

    @property
    def failures(self) -> dict[str, int]:
        """How often each kind of failure came."""
        return {kind: int(of["count"]) for kind, of in self.report["failures"].items()}

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return int(self.report["calls"])

    @property
    def ok(self) -> int:
        """How many of them went well."""
        return int(self.report["ok"])

    @property
    def p99_ms(self) -> float:
        """Latency that one call in a hundred exceeded, from when it was due."""
        return float(self.report["latency_ms"]["p99"])

    @property
    def ok_per_second(self) -> float:
        """Calls that went well, over the time until the last one had ended."""
        return float(self.report["ok_per_second"])

    def refusal_ms(self, kind: str, percentile: str) -> float:
        """Time from sending to the answer that was no success."""
        return float(self.report["failures"][kind]["latency_from_sending_ms"][percentile])

    def wait(self) -> None:
        """Wait for the end of the run.

        Raises:
            RuntimeError: the generator could not measure.
        """
        out, err = self.process.communicate(timeout=self.seconds + _GRACE_S)
        try:
            self.report = json.loads(out)["data"]
        except (ValueError, KeyError):
            raise RuntimeError(f"the load generator said: {out} {err}") from None


def load(
    url: str, tool: str, *, rate: float, seconds: float, connections: int = 32,
    most: int = 1024, timeout_s: float = 10.0, era: str = "modern",
    arguments: str = '{"text":"{nonce}"}',
) -> AbstractContextManager[Load]:  # fmt: skip
    """Call a tool that says its argument `text` again; the block ends when the calls have."""
    return generator(
        ["only1mcp", "benchmark", url, "--tool", tool, "--args", arguments,
         "--rate", str(rate), "--duration", str(seconds), "--connections", str(connections),
         "--max-connections", str(most),
         "--timeout", str(timeout_s), "--era", era, "--json"], seconds,
    )  # fmt: skip


@contextmanager
def generator(module: list[str], seconds: float) -> Iterator[Load]:
    """Run a module that sends calls for so long, and prints the report."""
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    running = Load(process, seconds, {})
    try:
        yield running
        running.wait()
    finally:
        process.kill()
        process.wait()
