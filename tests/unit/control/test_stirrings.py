"""Which folders matter to a path, and that they tell of each change."""

import asyncio
import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from only1mcp.control.stirrings import Stirrings, names_on_the_way
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
    assert names_on_the_way(tmp_path / "near") == {
        tmp_path: {"near", "c.yaml", "data"}, tmp_path / "far": {"link"},
        tmp_path / "one": {"c.yaml"},
    }  # fmt: skip


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """They lead nowhere; the kernel gives up as well."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert names_on_the_way(tmp_path / "a") == {tmp_path: {"a", "b"}}


@contextlib.contextmanager
def _looking_at(path: Path, on_open: Callable[[], None] = lambda: None) -> Iterator[Stirrings]:
    with contextlib.closing(Stirrings(asyncio.get_running_loop(), on_open)) as stirrings:
        stirrings.look_at(path)
        yield stirrings


@pytest.mark.parametrize(
    ("change", "is_whole"),
    [(write, True), (replace, True), (come_back, True), (turn, True), (touch, False)],
)
@on_loop
async def test_each_kind_of_change_stirs(
    tmp_path: Path, change: Callable[[Path], None], is_whole: bool
) -> None:
    """What is written, put in its place, led to by another link, or touched without a writer."""
    path = volume(tmp_path)
    with _looking_at(path) as stirrings:
        change(path)
        async with asyncio.timeout(10):
            await (stirrings.whole if is_whole else stirrings.stirred).wait()
        assert stirrings.stirred.is_set()


@on_loop
async def test_a_file_is_whole_when_its_writer_has_closed_it(tmp_path: Path) -> None:
    """What it writes before stirs."""
    path = volume(tmp_path)
    with _looking_at(path) as stirrings:
        with path.open("w") as file:
            file.write("half")
            file.flush()
            async with asyncio.timeout(10):
                await stirrings.stirred.wait()
            assert not stirrings.whole.is_set()
        async with asyncio.timeout(10):
            await stirrings.whole.wait()


@on_loop
async def test_other_names_and_other_folders_do_not_stir(tmp_path: Path) -> None:
    """What lies beside the file, and what the way has left."""
    path = volume(tmp_path)
    with _looking_at(path) as stirrings:
        (tmp_path / "one" / "other").write_text("")
        turn(path)
        async with asyncio.timeout(10):
            await stirrings.stirred.wait()
        stirrings.look_at(path)
        for event in (stirrings.stirred, stirrings.whole):
            event.clear()
        write(tmp_path / "one" / "c.yaml")
        (tmp_path / "two" / "other").write_text("")
        for _ in range(3):
            await asyncio.sleep(0)
        assert not stirrings.stirred.is_set()
        write(tmp_path / "two" / "c.yaml")
        async with asyncio.timeout(10):
            await stirrings.whole.wait()


@on_loop
async def test_who_opens_the_file_is_noticed(tmp_path: Path) -> None:
    """Though nothing has changed."""
    path = volume(tmp_path)
    opened = asyncio.Event()
    with _looking_at(path, opened.set) as stirrings:
        path.read_text()
        async with asyncio.timeout(10):
            await opened.wait()
        assert not stirrings.stirred.is_set()


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
