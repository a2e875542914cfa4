"""Another Python process that does something and then stays, for the time of a `with` block."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def holding(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python code; yields once it has printed its first line, and kills it in the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "the process ended before it was ready"
        yield process
    finally:
        process.kill()
        process.communicate()
