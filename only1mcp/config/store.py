"""Writes a configuration file: whole or not at all, and never worse than it was."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from only1mcp.config.loader import load_text
from only1mcp.config.problems import ConfigInvalid, Problem
from only1mcp.config.source_file import read_text

Change = Callable[[str, str], str]
"""Takes the file's name and its text; returns the text that is to be."""


def change_file(path: Path, change: Change, environment: Mapping[str, str]) -> None:
    """Change a file in one step.

    Raises:
        ConfigInvalid: it would have mistakes that it does not have now; it stays as it is.
        OSError: it cannot be read or written.
    """
    path = path.resolve()  # what is a link stays one
    with _locked(path.parent):
        text = read_text(path)
        changed = change(str(path), text)
        before = {(one.what, one.hint) for one in _problems(path, text, environment)}
        after = _problems(path, changed, environment)
        new = [one for one in after if (one.what, one.hint) not in before]
        if new:
            raise ConfigInvalid(new)
        if changed != text:
            _replace(path, changed)


def _problems(path: Path, text: str, environment: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong; variables that only the gateway knows are missing before as after."""
    try:
        load_text(str(path), text, environment)
    except ConfigInvalid as error:
        return error.problems
    return []


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one at a time change files of a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Put a new file, with the mode and owner of the old one, in its place."""
    before = path.stat()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
