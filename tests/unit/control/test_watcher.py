"""What the watcher takes for a change of the file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from only1mcp.control.watcher import FileWatcher
from tests.support.file_changes import come_back, replace, touch, turn, volume, write


async def _nothing() -> None:
    """Take no note."""


@pytest.mark.parametrize("change", [write, replace, come_back, touch])
def test_each_kind_of_change_is_seen_once(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """At the second look, for the first may have come in the middle of it."""
    path = tmp_path / "c.yaml"
    path.write_text("old")
    watcher = FileWatcher(path, _nothing)
    assert [watcher.changed() for _ in range(3)] == [False] * 3
    change(path)
    assert [watcher.changed() for _ in range(4)] == [False, True, False, False]


def test_a_file_that_still_grows_is_left_alone(tmp_path: Path) -> None:
    """Until it has stayed the same between two looks."""
    path = tmp_path / "c.yaml"
    path.write_text("old")
    watcher = FileWatcher(path, _nothing)
    for number in range(5):
        path.write_text("x" * (10 + number))
        assert not watcher.changed()
    assert watcher.changed()


def test_a_file_that_its_writer_has_closed_is_taken_at_once(tmp_path: Path) -> None:
    """Unless it is empty: then somebody writes it again already."""
    path = tmp_path / "c.yaml"
    path.write_text("old")
    watcher = FileWatcher(path, _nothing)
    path.write_text("")
    assert not watcher.changed(is_whole=True)
    path.write_text("new one")
    assert watcher.changed(is_whole=True)
    assert watcher.still()
    path.write_text("newer one")
    assert not watcher.still()
    assert watcher.changed(is_whole=True)
    assert not watcher.changed(is_whole=True)


def test_a_link_that_turns_is_seen(tmp_path: Path) -> None:
    """However many links there are between."""
    path = volume(tmp_path)
    watcher = FileWatcher(path, _nothing)
    turn(path)
    assert [watcher.changed() for _ in range(3)] == [False, True, False]


def test_a_file_that_is_empty_or_gone_is_waited_for(tmp_path: Path) -> None:
    """It is being written; what it was before is no change when it comes back so."""
    path = tmp_path / "c.yaml"
    path.write_text("old")
    watcher = FileWatcher(path, _nothing)
    path.write_text("")
    assert [watcher.changed() for _ in range(3)] == [False] * 3
    path.unlink()
    assert [watcher.changed() for _ in range(3)] == [False] * 3
    path.write_text("new")
    assert [watcher.changed() for _ in range(3)] == [False, True, False]
