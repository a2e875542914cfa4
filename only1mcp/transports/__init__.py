"""[5] Bytes to and from a backend."""
