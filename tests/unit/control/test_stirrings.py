"""Which folders matter to a path, and that they tell of each change."""

import asyncio
import contextlib
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from only1mcp.control.stirrings import Stirrings, folders
from only1mcp.control.watcher import FileWatcher
from only1mcp.tasks import Tasks
from tests.support.file_changes import come_back, replace, touch, turn, volume, write
from tests.support.loop import on_loop


def test_the_folders_of_all_links_matter(tmp_path: Path) -> None:
    """Each is one in which another link can be put."""
    path = volume(tmp_path)
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "link").symlink_to(Path("..") / path.name)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "link")
    assert folders(tmp_path / "near") == {tmp_path, tmp_path / "far", tmp_path / "one"}


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """They lead nowhere; the kernel gives up as well."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert folders(tmp_path / "a") == {tmp_path}


@pytest.mark.parametrize("change", [write, replace, touch, turn, come_back])
@on_loop
async def test_each_kind_of_change_stirs(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """What is written, put in its place, touched, or led to by another link."""
    path = volume(tmp_path)
    with contextlib.closing(Stirrings(asyncio.get_running_loop())) as stirrings:
        stirrings.look_at(folders(path))
        change(path)
        async with asyncio.timeout(10):
            await stirrings.event.wait()


@on_loop
async def test_other_folders_do_not(tmp_path: Path) -> None:
    """Nor one that does not matter any more."""
    path = volume(tmp_path)
    with contextlib.closing(Stirrings(asyncio.get_running_loop())) as stirrings:
        stirrings.look_at(folders(path))
        stirrings.look_at({tmp_path / "two"})
        async with asyncio.timeout(10):
            await stirrings.event.wait()  # the folder that was left says good-bye
        stirrings.event.clear()
        write(tmp_path / "one" / "c.yaml")
        for _ in range(3):
            await asyncio.sleep(0)
        assert not stirrings.event.is_set()
        write(tmp_path / "two" / "c.yaml")
        async with asyncio.timeout(10):
            await stirrings.event.wait()


@pytest.mark.parametrize("is_scarce", [False, True])
@on_loop
async def test_the_watcher_runs_with_and_without_them(tmp_path: Path, is_scarce: bool) -> None:
    """Where the system has none to give, it looks now and then."""
    path = volume(tmp_path)
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def note() -> None:
        await seen.put(path.read_text())

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    try:
        if is_scarce:
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        tasks = Tasks()
        tasks.spawn(FileWatcher(path, note).run())
        await asyncio.sleep(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    async with asyncio.timeout(20):
        turn(path)
        assert await seen.get() == "two"
        write(path)
        assert await seen.get() == "new"
    await tasks.cancel_all()
