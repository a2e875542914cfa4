"""Bounds on what one client may ask of a worker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    max_body: int = 4 * 1024 * 1024
    max_header: int = 32 * 1024
    max_buffered: int = 64 * 1024 * 1024
    """Of each worker: bodies that come in or are under way, and likewise answers not yet read."""
    max_batch: int = 100
    """Members of one batch of a client."""
    max_connections: int = 10_000
    """Of the whole gateway; each worker takes its share."""
    header_timeout_s: float = 10.0
    """From the first byte of a request to the end of its headers, and again for its body."""
    idle_timeout_s: float = 75.0
    """Between two requests on one connection, and for a client to read on."""
    max_calls: int = 1024
    """Under way at one server, from one worker; others wait in line."""
    max_wait_s: float = 0.1
    """In that line, or for a busy worker: then more is refused."""
