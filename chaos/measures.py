"""What processes use, read from outside."""

import os
from pathlib import Path

from tests.support.gateway import Gateway


def rss_mib(pid: int) -> float:
    """Return the memory that a process has in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors(gateway: Gateway) -> int:
    """Return how many descriptors the workers and the host hold."""
    pids = [*gateway.pids("worker"), *gateway.pids("host")]
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
