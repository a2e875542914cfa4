"""Which process has accepted a connection: a client cannot tell, and the kernel can."""

import contextlib
from collections.abc import Iterable
from pathlib import Path


def accepting_pid(pids: Iterable[int], server_port: int, client_port: int) -> int:
    """Return which of these processes holds the server's end of a connection; 0 when none does."""
    inode = _inode(server_port, client_port)
    return next((pid for pid in pids if inode and f"socket:[{inode}]" in _open_files(pid)), 0)


def _inode(server_port: int, client_port: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *_, inode = line.split()[:10]
        if (local[-4:], remote[-4:]) == (f"{server_port:04X}", f"{client_port:04X}"):
            return inode
    return ""


def _open_files(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(entry.readlink()))
    return found
