"""What a reload makes of a file that is written again while it is read."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from only1mcp.config.loader import load
from only1mcp.control.parsers import Parsers
from only1mcp.control.reloader import Reloader
from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.published import Published
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.process.bells import Bells
from only1mcp.process.context import Shared, Source
from tests.support.loop import on_loop

_GOOD = "servers:\n  - id: a\n    url: http://127.0.0.1:1/mcp\n"


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _added(reloader: Reloader) -> tuple[str, ...] | None:
    """Return which servers the last reload added; None when there was none."""
    return None if reloader.last is None else reloader.last.added


@contextlib.asynccontextmanager
async def _reloader(path: Path) -> AsyncIterator[Reloader]:
    """Make one for a gateway of which nothing else runs, and which began without servers."""
    _write(path, "servers: []\n")
    source, settings = Source(path, {}), load(path, {}).following(None)
    layout = Layout(settings.workers, 8, MetricsPlan(("",) * 8).size)
    shared = Shared(
        settings, SharedMemory(layout), RuntimeDir(path.parent), 0, -1, b"", b"",
        source=source, published=Published(), bells=Bells(layout.processes),
    )  # fmt: skip
    async with contextlib.aclosing(Parsers(source)) as parsers:
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
