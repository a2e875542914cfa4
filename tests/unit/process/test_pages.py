"""What a process can let go of, and that it has it back when it needs it."""

import ctypes
import ctypes.util
import mmap
from pathlib import Path

import pytest

from only1mcp.process.heap import give_back_heap
from only1mcp.process.pages import drop, unchanged_ranges

SIZE = 64 * mmap.PAGESIZE
_PRIVATE_READ = {"flags": mmap.MAP_PRIVATE, "prot": mmap.PROT_READ}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a file of some pages."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    return path


def resident_kib(name: str) -> int:
    """Return how much of a file this process has in memory."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line.endswith(name)]
    fields = [line.split() for start in starts for line in lines[start : start + 25]]
    return sum(int(field[1]) for field in fields if field[0] == "Rss:")


def test_dropped_pages_leave_memory_and_come_back_as_they_were(path: Path) -> None:
    """From the file, as soon as they are touched."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, **_PRIVATE_READ) as mapped:
        whole = mapped[:]
        assert resident_kib(str(path)) == SIZE // 1024
        drop(unchanged_ranges())
        assert resident_kib(str(path)) == 0
        assert mapped[:] == whole == path.read_bytes()


def test_what_was_written_is_never_dropped(path: Path) -> None:
    """Neither pages of our own, nor those that can be written, nor those of all."""
    with path.open("r+b") as file:
        private = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE)
        shared = mmap.mmap(file.fileno(), 0)
        anonymous = mmap.mmap(-1, SIZE)
        private[:5] = anonymous[:5] = b"mine!"
        shared[-5:] = b"ours!"
        drop(unchanged_ranges())
        assert private[:5] == anonymous[:5] == b"mine!"
        assert shared[-5:] == path.read_bytes()[-5:] == b"ours!"


def test_a_file_that_was_relocated_is_kept() -> None:
    """Its pages are read-only by now, but are not those on disk."""
    libraries = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    relocated = {line[0] for line in libraries if line[1] == "r--p" and "libc.so" in line[-1]}
    kept = relocated - {f"{at:x}-{at + length:x}" for at, length in unchanged_ranges()}
    assert kept


def test_the_programs_go_on_after_it() -> None:
    """With all that they had imported, and free memory given back."""
    for _ in range(3):
        drop(unchanged_ranges())
        give_back_heap()
    assert ctypes.CDLL(None).abs(-5) == 5
