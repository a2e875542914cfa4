"""Whether somebody has a file open for writing."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from only1mcp.config.sight import look
from only1mcp.config.writers import (
    HELD_S,
    is_being_saved,
    is_saved,
    is_still,
    is_written,
    wait_closed,
)
from tests.support.waiting import PATIENCE_S

_BREAK_LEASE = """
import fcntl, os, sys
from pathlib import Path
from only1mcp.config.writers import is_written

path, real, broken = Path(sys.argv[1]), fcntl.fcntl, []

def fake(descriptor, what, value=0):
    done = real(descriptor, what, value)
    if (what, value) == (fcntl.F_SETLEASE, fcntl.F_RDLCK):
        try:
            os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except BlockingIOError:
            broken.append(path)
    return done

fcntl.fcntl = fake
is_written(path)
print("alive" if broken else "not broken")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a file."""
    path = tmp_path / "c.yaml"
    path.write_text("whole")
    return path


@pytest.mark.parametrize("mode", ["w", "a", "r+"])
def test_a_file_is_written_until_its_writer_has_closed_it(path: Path, mode: str) -> None:
    """However it was opened, and though nothing is written; also where a link leads to it."""
    link = path.with_name("link")
    link.symlink_to(path)
    with path.open(mode):
        assert is_written(path)
        assert is_written(link)
    assert not is_written(path)
    assert not is_written(link)


def test_a_file_that_is_read_is_not_written(path: Path) -> None:
    """By however many, ourselves included."""
    with path.open() as one, path.open() as other:
        assert (one.read(), other.read()) == ("whole", "whole")
        assert [is_written(path) for _ in range(3)] == [False] * 3


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_regular_file_is_neither_written_nor_waited_for(
    path: Path, make: Callable[[Path], None]
) -> None:
    """Nor is what is not there."""
    path.unlink()
    assert not is_written(path)
    make(path)
    assert not is_written(path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL, errno.ENOLCK])
def test_what_cannot_be_known_counts_as_not_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As of another user's file, or on a file system of another machine."""

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with path.open("a"):
        assert not is_written(path)


def test_a_writer_who_comes_in_the_moment_of_looking_does_no_harm(path: Path) -> None:
    """By default the kernel would end who holds the lease with SIGIO."""
    done = subprocess.run(
        [sys.executable, "-c", _BREAK_LEASE, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_a_look_keeps_no_writer_out(path: Path) -> None:
    """Who opens the file afterwards need not wait, though he would rather fail than do so."""
    assert not is_written(path)
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


def test_who_writes_is_waited_for_until_he_closes(path: Path) -> None:
    """But no longer than until the given time."""
    file = path.open("a")
    assert not wait_closed(path, time.monotonic())
    closed: list[bool] = []
    until = time.monotonic() + PATIENCE_S
    waiting = threading.Thread(target=lambda: closed.append(wait_closed(path, until)))
    waiting.start()
    file.close()
    waiting.join()
    assert closed == [True]


def test_a_file_is_still_the_same_if_nobody_has_begun_to_write(path: Path) -> None:
    """Nor has already done so, in whatever way."""
    seen = look(path)
    assert is_still(path, seen)
    with path.open("a"):
        assert not is_still(path, seen)
    assert is_still(path, seen)
    path.write_text("another")
    assert not is_still(path, seen)


def test_who_keeps_a_file_open_for_good_keeps_nobody_from_reading(path: Path) -> None:
    """A while after the last change of it; who would replace it waits for him all the same."""
    with path.open("a"):
        assert is_being_saved(path)
        assert not is_saved(path, look(path))
        before = path.stat().st_mtime - HELD_S
        os.utime(path, (before, before))
        assert not is_being_saved(path)
        assert is_saved(path, look(path))
        assert is_written(path)
    path.unlink()
    assert not is_being_saved(path)


@pytest.mark.parametrize(("kind", "written"), [("nfs4", False), ("cifs", False), ("ext4", True)])
def test_far_away_nothing_is_known_of_writers(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, written: bool
) -> None:
    """Some file systems refuse leases though nobody writes."""
    device = path.stat().st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    mounts = f"7 1 0:1 / / rw - proc none rw\n8 1 {name} / /x rw shared:1 - {kind} none rw\n"
    with path.open("a"):
        monkeypatch.setattr(Path, "read_text", lambda _: mounts)
        assert is_written(path) == written
