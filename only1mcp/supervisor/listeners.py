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
    # Sockets with SO_REUSEPORT share a port with each other, even over two gateways of one user;
    # a probe without it finds anybody who is there before us.
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortBusy(host, port) from None
            raise
        chosen = port or probe.getsockname()[1]
    return [_listener(family, host, chosen) for _ in range(count)]


def _listener(family: int, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    sock.listen(BACKLOG)
    sock.setblocking(False)
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
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            return f"pid {process.name} ({command[:100]})"
    return None


def _holds(process: Path, inodes: set[str]) -> bool:
    try:
        return any(str(entry.readlink()) in inodes for entry in (process / "fd").iterdir())
    except OSError:
        return False
