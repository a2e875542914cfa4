"""The part of the shared memory that a next program takes over: a file without a name.

It holds words about clients: which sessions were ended, what is remembered of sessions, buckets of
rates. What is known of servers and processes is each program's own.
"""

import mmap
import os
import weakref
from collections.abc import Mapping

FORMAT = 1
"""Grows when words come to mean something else; how many there are is compared besides."""
_WORD = 8
_HEAD_BYTES = 4096


class NotUnderstood(Exception):
    """The file was written by a program that has other words there."""


class Lasting:
    """The sections, each an array of unsigned 64-bit words.

    Args:
        lengths: how many words each section has.
        file: descriptor of one that another program made; a new one is made when there is none.

    Raises:
        NotUnderstood: the words of the other program are not ours.
    """

    def __init__(self, lengths: Mapping[str, int], file: int | None = None) -> None:
        head = repr((FORMAT, *lengths.items())).encode()
        size = _HEAD_BYTES + _WORD * sum(lengths.values())
        if file is None:
            file = os.memfd_create("only1mcp-lasting", os.MFD_CLOEXEC)
            weakref.finalize(self, os.close, file)
            os.ftruncate(file, size)
            os.pwrite(file, head, 0)
        elif os.fstat(file).st_size != size or os.pread(file, len(head) + 1, 0) != head + b"\0":
            raise NotUnderstood
        self._mapping = mmap.mmap(file, size)
        self.file = file
        words: memoryview[int] = memoryview(self._mapping).cast("Q")
        self._sections: dict[str, memoryview[int]] = {}
        start = _HEAD_BYTES // _WORD
        for name, length in lengths.items():
            self._sections[name] = words[start : start + length]
            start += length

    def section(self, name: str) -> "memoryview[int]":
        """Return the words of this name; writes are seen by every process of both programs."""
        return self._sections[name]
