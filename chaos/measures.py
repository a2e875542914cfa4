"""What processes use, read from outside."""

import os
from pathlib import Path

from tests.support.gateway import Gateway

_ESTABLISHED = "01"


def rss_mib(pid: int) -> float:
    """Return the memory that a process has in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def ran_and_waited_s(pid: int) -> tuple[float, float]:
    """Return for how long a process has run, and was ready to and had no CPU (its first thread)."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    return int(ran) / 1e9, int(waited) / 1e9


def descriptors(gateway: Gateway) -> int:
    """Return how many descriptors the workers and the host hold."""
    pids = [*gateway.pids("worker"), *gateway.pids("host")]
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def own_files(pid: int, port: int) -> int:
    """Return how many descriptors a process holds beside its clients' connections to this port.

    Clients go to another worker when theirs is killed, and stay there.
    """
    clients = set()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, _, state, *_, inode = line.split()[:10]
        if state == _ESTABLISHED and local.endswith(f":{port:04X}"):
            clients.add(f"socket:[{inode}]")
    return sum(_target(entry) not in clients for entry in Path(f"/proc/{pid}/fd").iterdir())


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except FileNotFoundError:
        return ""  # closed meanwhile


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
