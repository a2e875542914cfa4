"""A file is changed whole or not at all, and nothing that others save in it is lost."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from only1mcp.config import store
from only1mcp.config.edit import add_server
from only1mcp.config.exchange import exchange
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.refusals import BeingWritten, EditRefused, EmptyFile
from only1mcp.config.source_file import read_text
from only1mcp.config.store import change_file
from only1mcp.config.writers import wait_closed

OURS, THEIRS = "http://127.0.0.1:1/ours", "http://127.0.0.1:1/theirs"
TEXT = "# The only one.\nservers:\n  - id: a\n    url: http://127.0.0.1:1/a\n"
SAVED = f"{TEXT}  - id: theirs\n    url: {THEIRS}\n"
Save = Callable[[Path], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a configuration with one server."""
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    return path


def _add(file: str, text: str) -> str:
    return add_server(file, text, {"id": "ours", "url": OURS})


def _in_place(path: Path) -> None:
    path.write_text(SAVED)


def _by_another_file(path: Path) -> None:
    draft = path.with_name("theirs")
    draft.write_text(SAVED)
    draft.replace(path)


class _Slow:
    """A writer that empties the file at once, and saves when it is told to."""

    def __init__(self) -> None:
        self._file: TextIO | None = None

    def __call__(self, path: Path) -> None:
        self._file = path.open("w")

    @property
    def has_begun(self) -> bool:
        return self._file is not None

    def finish(self) -> None:
        assert self._file is not None
        if not self._file.closed:
            self._file.write(SAVED)
            self._file.close()


def _once(save: Save, path: Path) -> Callable[[], None]:
    """Return what saves the first time that it is called."""
    left = [save]
    return lambda: left.pop()(path) if left else None


def _cannot(one: Path, other: Path) -> bool:
    """Exchange nothing, as a file system that has no way to do so."""
    return not (one.exists() and other.exists())


def _names(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("save", [_in_place, _by_another_file])
def test_what_is_saved_during_a_change_is_kept_and_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch, save: Save, can_exchange: bool
) -> None:
    """The change is made anew, in what was saved."""
    meanwhile = _once(save, path)
    if not can_exchange:
        monkeypatch.setattr(store, "exchange", _cannot)

    def change(file: str, text: str) -> str:
        meanwhile()
        return _add(file, text)

    change_file(path, change, {})
    assert path.read_text().startswith(SAVED)
    assert OURS in path.read_text()
    assert _names(path) == [path.name]


@pytest.mark.parametrize("save", [_in_place, _by_another_file])
def test_what_is_saved_in_the_last_moment_takes_its_place_back(
    path: Path, monkeypatch: pytest.MonkeyPatch, save: Save
) -> None:
    """After the last look, just before the new file is put there."""
    meanwhile = _once(save, path)

    def late(one: Path, other: Path) -> bool:
        meanwhile()
        return exchange(one, other)

    monkeypatch.setattr(store, "exchange", late)
    change_file(path, _add, {})
    assert path.read_text().startswith(SAVED)
    assert OURS in path.read_text()
    assert _names(path) == [path.name]


def test_a_file_that_is_emptied_just_before_it_is_read_is_not_an_empty_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again when its writer is done; what was read is complained of by nobody."""
    slow = _Slow()
    begin = _once(slow, path)

    def late(file: Path) -> str:
        begin()
        text = read_text(file)
        slow.finish()
        return text

    monkeypatch.setattr(store, "read_text", late)
    change_file(path, _add, {})
    assert path.read_text().startswith(SAVED)
    assert OURS in path.read_text()


def test_who_begins_to_save_in_the_last_moment_can_finish(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the file that has the name: it is put back, and waited for."""
    slow = _Slow()
    begin = _once(slow, path)

    def late(one: Path, other: Path) -> bool:
        begin()
        return exchange(one, other)

    def wait(file: Path, until: float) -> bool:
        if slow.has_begun:
            assert path.read_text() in ("", SAVED)
            slow.finish()
        return wait_closed(file, until)

    monkeypatch.setattr(store, "exchange", late)
    monkeypatch.setattr(store, "wait_closed", wait)
    change_file(path, _add, {})
    assert slow.has_begun
    assert path.read_text().startswith(SAVED)
    assert OURS in path.read_text()


def test_a_change_waits_until_the_writer_has_closed_the_file(path: Path) -> None:
    """And is made then, in what the writer has left."""
    slow = _Slow()
    slow(path)
    changing = threading.Thread(target=change_file, args=(path, _add, {}))
    changing.start()
    slow.finish()
    changing.join()
    assert path.read_text().startswith(SAVED)
    assert OURS in path.read_text()


def test_a_file_that_nobody_closes_is_not_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for the change is told why, and what to do."""
    monkeypatch.setattr(store, "PATIENCE_S", 0.05)
    slow = _Slow()
    slow(path)
    with pytest.raises(BeingWritten, match="another program is writing the file") as refused:
        change_file(path, _add, {})
    assert (refused.value.code, refused.value.http_status) == ("BEING_WRITTEN", 409)
    assert "try again" in refused.value.hint
    slow.finish()
    assert path.read_text() == SAVED
    assert _names(path) == [path.name]


def test_a_file_that_is_saved_again_and_again_is_not_changed(path: Path) -> None:
    """Nothing of it is lost."""
    saved: list[str] = []

    def change(file: str, text: str) -> str:
        saved.append(f"{TEXT}# {len(saved)}\n")
        path.write_text(saved[-1])
        return _add(file, text)

    with pytest.raises(BeingWritten):
        change_file(path, change, {})
    assert 1 < len(saved) < 10
    assert path.read_text() == saved[-1]
    assert _names(path) == [path.name]


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file_is_not_changed(path: Path, text: str) -> None:
    """What was in it is lost, or is still to come; a reload would refuse it as well."""
    path.write_text(text)
    with pytest.raises(EmptyFile, match="is empty") as refused:
        change_file(path, _add, {})
    assert (refused.value.code, refused.value.http_status) == ("EMPTY_FILE", 409)
    assert "servers: []" in refused.value.hint
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["# nothing yet\n", "servers: []\n", "{}\n"])
def test_a_file_that_says_that_there_is_nothing_can_be_changed(path: Path, text: str) -> None:
    """It has been written on purpose."""
    path.write_text(text)
    change_file(path, _add, {})
    assert OURS in path.read_text()


@pytest.mark.parametrize("is_link", [False, True])
def test_a_draft_that_was_left_over_is_in_nobodys_way(path: Path, is_link: bool) -> None:
    """By one who had our pid; where a link was put there, nothing is written where it leads."""
    other, draft = path.with_name("other"), path.with_name(f".{path.name}.{os.getpid()}")
    other.write_text("other")
    if is_link:
        draft.symlink_to(other)
    else:
        draft.write_text("half of a configuration")
    change_file(path, _add, {})
    assert OURS in path.read_text()
    assert other.read_text() == "other"
    assert _names(path) == [path.name, "other"]


def test_where_files_cannot_change_places_one_replaces_the_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its mode, as everywhere."""
    path.chmod(0o640)
    monkeypatch.setattr(store, "exchange", _cannot)
    change_file(path, _add, {})
    assert OURS in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    assert _names(path) == [path.name]


def test_a_change_that_is_refused_leaves_no_trace(path: Path) -> None:
    """The file stays the one that it was."""
    before = path.stat()

    def refuse(file: str, text: str) -> str:
        raise EditRefused(f"{file}: {text}", "do not")

    with pytest.raises(EditRefused):
        change_file(path, refuse, {})
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert _names(path) == [path.name]


def test_a_file_that_a_gateway_is_about_to_read_is_valid_after_a_change(path: Path) -> None:
    """A change that leaves a mistake would not come into force; one that mends it would."""
    bad = TEXT.replace(":1/a", ":1/a\n    timeout: never")
    path.write_text(bad)
    with pytest.raises(ConfigInvalid):
        change_file(path, _add, {}, is_served=True)
    assert path.read_text() == bad
    change_file(path, lambda file, text: TEXT, {}, is_served=True)
    assert path.read_text() == TEXT
    path.write_text(bad)
    change_file(path, _add, {})
    assert OURS in path.read_text()
