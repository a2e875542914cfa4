"""Reading a file that somebody has named: it may be anything that has a name."""

import os
import stat
from pathlib import Path

from only1mcp.config.problems import NOWHERE, ConfigInvalid, Problem

MAX_BYTES = 4 << 20
"""A thousand servers take a tenth of it; what has no end has to end somewhere."""
_KINDS = {
    stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip
"""What can be opened; of a directory and of a socket the system says itself that it cannot be."""


def read_text(path: Path) -> str:
    """Return what a regular file says, its line ends as they are; nothing here waits.

    Raises:
        OSError: it cannot be read, is no regular file, or is too long.
        ConfigInvalid: it is no text.
    """
    # Without O_NONBLOCK, to open a pipe would be to wait for its writer.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        mode = stat.S_IFMT(os.fstat(file.fileno()).st_mode)
        if mode != stat.S_IFREG:
            raise _refused(path, f"it is {_KINDS.get(mode, 'something else')}, no regular file")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _refused(path, f"it is longer than {MAX_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        what, hint = f"is not text in UTF-8, from byte {error.start} on", "save it as UTF-8"
        raise ConfigInvalid([Problem(str(path), NOWHERE, "", what, hint)]) from None


def _refused(path: Path, why: str) -> OSError:
    return OSError(0, why, str(path))
