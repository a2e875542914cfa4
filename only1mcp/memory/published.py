"""The settings in force, as bytes in a file without a name that every process has open.

One process writes; whoever is killed in the middle of it leaves the edition before in force. It
takes the place of a file on disk because settings hold secrets.
"""

import os
import struct

_HEAD = struct.Struct("<QQ")
PLACES = (1 << 12, 1 << 30)
"""Two places, so that an edition is never written over the one that is read."""
MAX_BYTES = PLACES[1] - PLACES[0]


class Published:
    """Numbered editions of some bytes; the newest is in force."""

    def __init__(self) -> None:
        self._file = os.memfd_create("only1mcp-settings", os.MFD_CLOEXEC)
        os.pwrite(self._file, _HEAD.pack(0, 0), 0)

    @property
    def number(self) -> int:
        """The number of the edition in force; 0 when there is none yet."""
        return self._head()[0]

    def publish(self, number: int, data: bytes) -> None:
        """Put the next edition in force; there is one writer at a time."""
        os.pwrite(self._file, data, PLACES[number % 2])
        os.pwrite(self._file, _HEAD.pack(number, len(data)), 0)

    def read(self) -> tuple[int, bytes]:
        """Return the edition in force and its number."""
        while True:
            number, size = self._head()
            data = os.pread(self._file, size, PLACES[number % 2])
            if self.number == number:  # else its place may be that of the next but one
                return number, data

    def _head(self) -> tuple[int, int]:
        number, size = _HEAD.unpack(os.pread(self._file, _HEAD.size, 0))
        return int(number), int(size)
