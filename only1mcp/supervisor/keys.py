"""Secrets that outlive a restart, in the state directory, for our user alone."""

import logging
import os
import secrets
from pathlib import Path

_log = logging.getLogger(__name__)
KEY_BYTES = 32


def state_dir() -> Path:
    """Return where lasting state belongs."""
    for variable in ("ONLY1MCP_HOME", "STATE_DIRECTORY"):
        if os.environ.get(variable):
            return Path(os.environ[variable])
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local/state") / "only1mcp"


def session_key(directory: Path) -> bytes:
    """Return the key that seals legacy session ids; it is made on the first start.

    Where nothing can be written a key for this run alone is used, and a warning says so.
    """
    path = directory / "session.key"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = path.read_bytes() if path.exists() else _make(path)
        path.chmod(0o600)
    except OSError as error:
        _log.warning("sessions will not survive a restart: %s", error)
        return secrets.token_bytes(KEY_BYTES)
    if len(key) != KEY_BYTES:
        _log.warning("%s is damaged; a new key is made and all sessions end", path)
        path.unlink()
        return _make(path)
    return key


def _make(path: Path) -> bytes:
    """Write a new key; whoever comes second takes the first one's."""
    key = secrets.token_bytes(KEY_BYTES)
    draft = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
        os.link(draft, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        os.close(descriptor)
        draft.unlink()
    return key
