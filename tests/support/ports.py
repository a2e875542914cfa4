"""Ports for servers that cannot pick one themselves."""

import socket


def free_port() -> int:
    """Return a port of the loopback address on which nobody listens now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
