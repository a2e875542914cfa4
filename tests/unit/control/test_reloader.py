"""What a reload makes of a file that is written again while it is read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

import pytest

from only1mcp.config.loader import load
from only1mcp.config.settings import Settings
from only1mcp.config.sight import Seen
from only1mcp.config.writers import LOOK_S, is_saved
from only1mcp.control import reloader as module
from only1mcp.control.parsers import Parsers
from only1mcp.control.reloader import REQUEST, START, Reloader
from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.published import Published
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.process.bells import Bells
from only1mcp.process.context import Shared, Source
from tests.support.loop import eventually, on_loop

_GOOD = "servers:\n  - id: a\n    url: http://127.0.0.1:1/mcp\n"
_SECOND = "  - id: b\n    url: http://127.0.0.1:1/mcp\n"


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _added(reloader: Reloader) -> tuple[str, ...] | None:
    """Return which servers the last reload added; None when there was none."""
    return None if reloader.last is None else reloader.last.added


@contextlib.asynccontextmanager
async def _reloader(path: Path, kind: type[Parsers] = Parsers) -> AsyncIterator[Reloader]:
    """Make one for a gateway of which nothing else runs, and which began without servers."""
    _write(path, "servers: []\n")
    source, settings = Source(path, {}), load(path, {}).following(None)
    layout = Layout(settings.workers, 8, MetricsPlan(("",) * 8).size)
    shared = Shared(
        settings, SharedMemory(layout), RuntimeDir(path.parent), 0, -1, b"", b"",
        source=source, published=Published(), bells=Bells(layout.processes),
    )  # fmt: skip
    async with contextlib.aclosing(kind(source)) as parsers:
        await parsers.load()  # so that the next time takes none
        yield Reloader(shared, parsers, lambda _: None)


@pytest.mark.parametrize("text", [_GOOD, "prxy: 1\n", ""])
@on_loop
async def test_what_is_another_file_by_now_is_neither_put_in_force_nor_complained_of(
    tmp_path: Path, text: str
) -> None:
    """Whatever was read: it may be the half of what is written."""
    path = tmp_path / "c.yaml"
    async with _reloader(path) as reloader:
        before = reloader.settings
        _write(path, text)
        await reloader.follow_file(lambda: False)
        assert _added(reloader) is None
        assert reloader.settings is before
        _write(path, _GOOD)
        await reloader.follow_file(lambda: True)
        assert _added(reloader) == ("a",)


def _open_half(path: Path) -> TextIO:
    """Begin to write a file; what it says so far is valid."""
    file = path.open("w")
    file.write(_GOOD)
    file.flush()
    return file


async def _looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return when it has been looked some times more whether the file is written."""
    looks: list[bool] = []

    def looked(path: Path, seen: Seen | None) -> bool:
        looks.append(is_saved(path, seen))
        return looks[-1]

    monkeypatch.setattr(module, "is_saved", looked)
    await eventually(lambda: len(looks) > 3, "somebody looks")


@pytest.mark.parametrize("cause", [REQUEST, "signal", START])
@on_loop
async def test_a_reload_waits_until_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    """Whoever asks for it; the loop does other things meanwhile."""
    path = tmp_path / "c.yaml"
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    async with _reloader(path) as reloader:
        with _open_half(path) as file:
            reloading = asyncio.get_running_loop().create_task(reloader.reload(cause))
            await _looked(monkeypatch)
            assert not reloading.done()
            file.write(_SECOND)
        assert (await reloading).added == ("a", "b")


@on_loop
async def test_who_asks_for_a_reload_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is the half of a file put in force for that; without having been asked we wait longer."""
    path = tmp_path / "c.yaml"
    monkeypatch.setattr(module, "PATIENCE_S", LOOK_S)
    async with _reloader(path) as reloader:
        with _open_half(path) as file:
            beginning = asyncio.get_running_loop().create_task(reloader.reload(START))
            await _looked(monkeypatch)
            assert not beginning.done()
            outcome = await reloader.reload(REQUEST)
            assert (outcome.ok, outcome.added) == (False, ())
            assert "is open for writing by another program" in outcome.problems[0]["what"]
            assert "the configuration is being written; nothing was changed" in caplog.text
            file.write(_SECOND)
        assert (await beginning).added == ("a", "b")


@on_loop
async def test_what_is_saved_while_a_reload_reads_is_read_as_well(tmp_path: Path) -> None:
    """Half of it may have been read, and whoever asked wants the file as it is now."""
    path = tmp_path / "c.yaml"

    class Late(Parsers):
        async def load(self) -> Settings:
            loaded = await super().load()
            if texts:
                _write(path, texts.pop())
            return loaded

    texts: list[str] = []
    async with _reloader(path, Late) as reloader:
        texts.append(_GOOD + _SECOND)
        _write(path, _GOOD)
        assert (await reloader.reload(REQUEST)).added == ("a", "b")
