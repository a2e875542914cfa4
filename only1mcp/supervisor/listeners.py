"""The listening sockets: one for each worker, all on one port, owned by the supervisor.

Because the supervisor keeps them open, a worker that dies takes no waiting connection with it.
"""

import errno
import socket
from pathlib import Path

BACKLOG = 4096


class PortBusy(OSError):
    """Somebody else listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        owner = port_owner(port)
        super().__init__(
            errno.EADDRINUSE, f"{host}:{port} is in use{f' by {owner}' if owner else ''}"
        )
        self.owner = owner


def open_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """Bind `count` sockets that share the port; port 0 picks a free one for all of them.

    Raises:
        PortBusy: somebody listens there.
        OSError: the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Sockets with SO_REUSEPORT share a port with anybody's of this user, another gateway included.
    # So the first one listens without it, which nobody can do twice, and opens up for our others.
    try:
        first = _listen(family, host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortBusy(host, port) from None
        raise
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    chosen = first.getsockname()[1]
    return [first, *(_listen(family, host, chosen, shared=True) for _ in range(count - 1))]


def another_listener(host: str, port: int) -> socket.socket:
    """Bind one more socket to the port that our others share.

    Raises:
        OSError: it cannot be.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return _listen(family, host, port, shared=True)


def _listen(
    family: socket.AddressFamily, host: str, port: int, *, shared: bool = False
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def port_owner(port: int) -> str | None:
    """Name the process that listens on a TCP port of this host, as far as we may see it."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and inodes and _holds(process, inodes):
            return f"pid {process.name} ({_command(process)})"
    return None


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "gone by now"
    return b" ".join(words).decode(errors="replace").strip()[:100]


def _holds(process: Path, inodes: set[str]) -> bool:
    try:
        return any(str(entry.readlink()) in inodes for entry in (process / "fd").iterdir())
    except OSError:
        return False
