"""Where a running gateway keeps its sockets and its lock, and how others find it."""

import fcntl
import json
import os
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOCK_TRIES = 10
_MAX_SOCKET_BYTES = 107
GENERATION = "g1"
"""The folder that holds the sockets of the first supervisor's children."""


class RuntimeDirError(OSError):
    """The directory cannot be used safely."""


class AlreadyRunning(RuntimeDirError):
    """Another gateway holds the directory."""


def base_dir() -> Path:
    """Return the parent of all instances' directories."""
    for variable in ("ONLY1MCP_RUNTIME_DIR", "RUNTIME_DIRECTORY"):
        if os.environ.get(variable):
            return Path(os.environ[variable])
    if os.environ.get("XDG_RUNTIME_DIR"):
        return Path(os.environ["XDG_RUNTIME_DIR"]) / "only1mcp"
    return Path("/run/only1mcp") if os.getuid() == 0 else Path(f"/tmp/only1mcp-{os.getuid()}")  # noqa: S108 - owner and mode are checked


@dataclass(frozen=True, slots=True)
class RuntimeDir:
    """The files of one instance, named after its port."""

    path: Path

    @property
    def control_socket(self) -> Path:
        """The admin API over HTTP."""
        return self.path / "control.sock"

    @property
    def host_socket(self) -> Path:
        """Links to the host."""
        return self.path / "host.sock"

    @property
    def heir_socket(self) -> Path:
        """Links to the host, of the host of a program that is to take the place of this one."""
        return self.path / "heir.sock"

    @property
    def lane_socket(self) -> Path:
        """Links to the host for the fast lane."""
        return self.path / "lane.sock"

    @property
    def board_socket(self) -> Path:
        """The multiprocessing manager with the health board."""
        return self.path / "board.sock"

    def worker_socket(self, index: int) -> Path:
        """Links to a worker, from the others."""
        return self.path / f"w{index}.sock"

    @property
    def record(self) -> Path:
        """Who runs here, for the command line."""
        return self.path / "supervisor.json"

    @property
    def upgrade(self) -> Path:
        """How the last upgrade of the program ended."""
        return self.path / "upgrade.json"

    def generation(self, number: int) -> "RuntimeDir":
        """Return the folder of one supervisor's children; a program that takes over has the next.

        It is part of the addresses of workers, so that those of both programs reach each other.
        """
        return RuntimeDir(self.path / f"g{number}")

    def create(self) -> int:
        """Make the directory ours alone and lock it; returns the descriptor of the lock.

        Raises:
            AlreadyRunning: another gateway runs here.
            RuntimeDirError: others may change what is there, or its name is too long.
            OSError: it cannot be made.
        """
        longest = self.path / GENERATION / self.control_socket.name
        if len(os.fsencode(longest)) > _MAX_SOCKET_BYTES:
            raise RuntimeDirError(f"{self.path} is too long a name for unix sockets")
        _make(self.path.parent)
        check_shared(self.path.parent)
        _make(self.path)
        _check_private(self.path)
        lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        for _ in range(_LOCK_TRIES):  # `read_record` may hold it for an instant
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)
            else:
                return lock
        os.close(lock)
        raise AlreadyRunning(f"another gateway runs in {self.path}")

    def write_record(self, record: dict[str, Any]) -> None:
        """Publish who runs here, atomically."""
        _replace(self.record, record)

    def write_upgrade(self, outcome: dict[str, Any]) -> None:
        """Note how an upgrade ended, atomically."""
        _replace(self.upgrade, outcome)

    def read_upgrade(self) -> dict[str, Any] | None:
        """Return how the last upgrade ended; None when there was none."""
        try:
            outcome: dict[str, Any] = json.loads(self.upgrade.read_text())
        except (OSError, ValueError):
            return None
        return outcome

    def read_record(self) -> dict[str, Any] | None:
        """Return who runs here; None when nobody does.

        Where others may make directories, what stands in theirs is no gateway of ours.
        """
        try:
            if self.path.lstat().st_uid not in (os.getuid(), self.path.parent.lstat().st_uid):
                return None
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                record: dict[str, Any] = json.loads(self.record.read_text())
            except (OSError, ValueError):
                return None
            return record
        finally:
            os.close(lock)
        return None

    def remove(self) -> None:
        """Remove the directory; it was that of children which have ended."""
        shutil.rmtree(self.path, ignore_errors=True)

    def clear(self) -> None:
        """Remove what a gateway leaves; the lock stays, whoever waits for it needs it."""
        self.record.unlink(missing_ok=True)
        self.upgrade.unlink(missing_ok=True)
        for folder in self.path.glob("g*"):
            RuntimeDir(folder).remove()


def for_port(port: int) -> RuntimeDir:
    """Return the directory of the instance on this port."""
    return RuntimeDir(base_dir() / str(port))


def running() -> list[RuntimeDir]:
    """Return the directories of all instances that run now."""
    try:
        names = sorted(base_dir().iterdir())
    except OSError:
        return []
    found = (RuntimeDir(path) for path in names if path.is_dir())
    return [instance for instance in found if instance.read_record() is not None]


def _replace(path: Path, content: dict[str, Any]) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def _make(path: Path) -> None:
    """Make a directory for us alone; one that is there already may be anybody's, and stays so."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def check_shared(path: Path) -> None:
    """See that nobody else can take away or replace what we make in a directory, as in /tmp.

    Raises:
        RuntimeDirError: somebody else can.
        OSError: it is not there, or cannot be looked at.
    """
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.getuid(), 0):
        raise RuntimeDirError(f"{path} is not a directory of ours")
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        raise RuntimeDirError(f"others may change what is in {path}")


def _check_private(path: Path) -> None:
    """See that nobody else can as much as look into a directory."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise RuntimeDirError(f"{path} is not a directory of ours")
    if status.st_mode & 0o077:
        raise RuntimeDirError(f"others may look into {path}")
