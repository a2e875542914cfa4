"""What the watcher takes for a change of the file."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from only1mcp.config.writers import is_being_saved
from only1mcp.control import watcher as module
from only1mcp.control.watcher import FileWatcher
from only1mcp.tasks import Tasks
from tests.support.file_changes import come_back, replace, touch, turn, volume, write
from tests.support.loop import eventually, on_loop


async def _nothing() -> None:
    """Take no note."""


def _no_stirrings(*_: Any) -> NoReturn:
    raise OSError("the system has none to give")


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


@pytest.mark.parametrize("lose", [lambda path: path.write_text(""), Path.unlink])
def test_a_file_that_stays_empty_or_gone_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lose: Callable[[Path], object]
) -> None:
    """A disk may have been full; and it is told when it is back, too."""
    monkeypatch.setattr(module, "LOST_S", 0.0)
    path = tmp_path / "c.yaml"
    path.write_text("old")
    watcher = FileWatcher(path, _nothing)
    lose(path)
    assert [watcher.changed() for _ in range(4)] == [True, False, False, False]
    path.write_text("old")
    assert [watcher.changed() for _ in range(3)] == [False, True, False]


@pytest.mark.parametrize("is_whole", [False, True])
def test_a_file_that_is_open_for_writing_is_left_alone(tmp_path: Path, is_whole: bool) -> None:
    """However long it stays the same, and though another writer has closed it."""
    path = tmp_path / "c.yaml"
    path.write_text("old")
    watcher = FileWatcher(path, _nothing)
    with path.open("w") as file:
        file.write("half")
        file.flush()
        assert [watcher.changed(is_whole=is_whole) for _ in range(5)] == [False] * 5
    assert [watcher.changed(is_whole=is_whole) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("is_told", [True, False])
@on_loop
async def test_a_file_is_taken_when_its_writer_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    """Nothing of what it said before is; also where the watcher is told of nothing."""
    path = tmp_path / "c.yaml"
    path.write_text("old")
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def note() -> None:
        await seen.put(path.read_text())

    def looked(_: Path) -> bool:
        looks.append(is_being_saved(path))
        return looks[-1]

    looks: list[bool] = []
    monkeypatch.setattr(module, "is_being_saved", looked)
    monkeypatch.setattr(module, "UNHURRIED_S", 0.02)
    if not is_told:
        monkeypatch.setattr(module, "Stirrings", _no_stirrings)
    tasks = Tasks()
    tasks.spawn(FileWatcher(path, note).run())
    await asyncio.sleep(0)
    with path.open("w") as file:
        file.write("half")
        file.flush()
        await eventually(lambda: len(looks) > 5, "it would have been taken")
        assert seen.empty()
        file.write(" and half")
    async with asyncio.timeout(20):
        assert await seen.get() == "half and half"
    await tasks.cancel_all()
