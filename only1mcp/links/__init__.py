"""Unix sockets between our own processes: length-prefixed frames, the peer's uid checked."""
