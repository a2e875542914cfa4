"""Writes a configuration file: whole or not at all, and never worse than it was.

Programs that know nothing of our lock write it as well. What they are about to save is waited for,
and what they save meanwhile is never replaced: then the change is made anew.
"""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from only1mcp.config.exchange import exchange
from only1mcp.config.loader import EMPTY_HINT, load_text
from only1mcp.config.problems import ConfigInvalid, Problem
from only1mcp.config.refusals import BeingWritten, EmptyFile
from only1mcp.config.sight import Seen, look
from only1mcp.config.source_file import read_text
from only1mcp.config.writers import PATIENCE_S, is_still, wait_closed

Change = Callable[[str, str], str]
"""Takes the file's name and its text; returns the text that is to be."""
_TRIES = 5
_DRAFT_FLAGS = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC


def change_file(
    path: Path, change: Change, environment: Mapping[str, str], *, is_served: bool = False
) -> None:
    """Change a file in one step, when nobody else writes it.

    Args:
        path: the file.
        change: what to do with its text.
        environment: the variables that it may name.
        is_served: whether these are the variables of a gateway that will read it at once.

    Raises:
        ConfigInvalid: it would have mistakes; where it is not served, such as it does not have now,
            for variables may be missing that only the gateway knows. It stays as it is.
        EditRefused: it is empty, or others write it all the time.
        OSError: it cannot be read or written.
    """
    path = path.resolve()  # what is a link stays one
    until = time.monotonic() + PATIENCE_S
    with _locked(path.parent):
        for _ in range(_TRIES):
            if not wait_closed(path, until):
                break
            seen, text = look(path), read_text(path)
            if not is_still(path, seen):
                continue
            changed = _changed(path, text, change, environment, is_served=is_served)
            if changed == text or _replace(path, changed, seen):
                return
    hint = f"try again when it has closed the file; `fuser -v {path}` shows who has it open"
    raise BeingWritten("another program is writing the file", hint)


def _changed(
    path: Path, text: str, change: Change, environment: Mapping[str, str], *, is_served: bool
) -> str:
    """Return the text that is to be.

    Raises:
        ConfigInvalid: it would have mistakes that it may not have.
        EditRefused: there is nothing that could be changed.
    """
    if not text.strip():  # what was in it is lost, or is still to come
        raise EmptyFile("the file is empty", EMPTY_HINT)
    changed = change(str(path), text)
    known = [] if is_served else _problems(path, text, environment)
    before = {(one.what, one.hint) for one in known}
    after = _problems(path, changed, environment)
    new = [one for one in after if (one.what, one.hint) not in before]
    if new:
        raise ConfigInvalid(new)
    return changed


def _problems(path: Path, text: str, environment: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong."""
    try:
        load_text(str(path), text, environment)
    except ConfigInvalid as error:
        return error.problems
    return []


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one of us at a time change files of a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str, seen: Seen | None) -> bool:
    """Put a new file in its place, unless it is no more what was seen; say whether it was put."""
    with _draft(path, text) as draft:
        if not is_still(path, seen):
            return False
        try:
            is_done = exchange(draft, path)
        except FileNotFoundError:  # somebody has just moved it away
            return False
        if not is_done:
            draft.replace(path)
        elif not is_still(draft, seen):  # opened or saved in the last moment: it has the place
            draft.replace(path)
            return False
    return True


@contextlib.contextmanager
def _draft(path: Path, text: str) -> Iterator[Path]:
    """Write a new file beside another one, with its mode and owner; in the end the name is free."""
    before = path.stat()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)  # left by one who died; who lives and has our pid has no lock
    descriptor = os.open(draft, _DRAFT_FLAGS, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            os.fsync(descriptor)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
