"""The process that reads configurations comes when it is needed, and goes."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from only1mcp.config.loader import load
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.refusals import EditRefused
from only1mcp.control import parsers as module
from only1mcp.control.parsers import Parsers, ReaderFailed
from only1mcp.process.context import Source
from only1mcp.transports.stdio import descendants
from tests.support.loop import eventually, on_loop


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a configuration with one server."""
    path = tmp_path / "c.yaml"
    path.write_text("servers:\n  - id: a\n    url: http://127.0.0.1:1/mcp\n")
    return path


@contextlib.asynccontextmanager
async def parsers_of(path: Path) -> AsyncIterator[Parsers]:
    """Make them for a file; at the end the process must be gone."""
    assert _pids() == []
    async with contextlib.aclosing(Parsers(Source(path, {}))) as parsers:
        yield parsers
    assert _pids() == []


def _write_mistake(path: Path) -> None:
    path.write_text("prxy: 1\n")


def _pids() -> list[int]:
    """Return the pids of the processes that read configurations for us."""
    mine = []
    for pid in descendants(os.getpid()):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"only1mcp.config.reader" in command:
            mine.append(pid)
    return mine


@on_loop
async def test_one_process_does_job_after_job(path: Path) -> None:
    """The second need not wait for the parsers to be loaded."""
    async with parsers_of(path) as parsers:
        assert await parsers.load() == load(path, {})
        first = _pids()
        await parsers.change("switch_server", "a", {"enabled": False})
        assert (await parsers.load()).servers == ()
        assert _pids() == first


@on_loop
async def test_what_is_wrong_there_is_raised_here(path: Path) -> None:
    """As if it had been found in this process."""
    async with parsers_of(path) as parsers:
        with pytest.raises(EditRefused) as refused:
            await parsers.change("remove_server", "x", {})
        assert (refused.value.code, refused.value.http_status) == ("NOT_FOUND", 404)
        _write_mistake(path)
        with pytest.raises(ConfigInvalid) as direct:
            load(path, {})
        with pytest.raises(ConfigInvalid) as invalid:
            await parsers.load()
        assert invalid.value.problems == direct.value.problems


@on_loop
async def test_a_process_that_is_killed_costs_no_reading_and_one_change_at_most(path: Path) -> None:
    """What can be asked again is asked again, of another; a change may have been made."""
    async with parsers_of(path) as parsers:
        assert await parsers.load() == load(path, {})
        [pid] = await eventually(_pids, "the process to be there")
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        assert await parsers.load() == load(path, {})
        [other] = _pids()
        assert other != pid
        os.kill(other, signal.SIGSTOP)
        os.kill(other, signal.SIGKILL)
        with pytest.raises(ReaderFailed, match="has ended"):
            await parsers.change("switch_server", "a", {"enabled": False})
        assert await parsers.load() == load(path, {})


@on_loop
async def test_a_job_that_never_ends_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the process that hangs in it; others are done as before."""
    async with parsers_of(path) as parsers:
        assert await parsers.load() == load(path, {})
        [pid] = await eventually(_pids, "the process to be there")
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(module, "_JOB_S", 0.2)
        with pytest.raises(TimeoutError):
            await parsers.load()
        monkeypatch.undo()
        assert await parsers.load() == load(path, {})
        assert pid not in _pids()


@on_loop
async def test_the_process_ends_some_time_after_the_last_job(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to ask for it."""
    async with parsers_of(path) as parsers:
        monkeypatch.setattr(module, "KEEP_S", 0.05)
        assert await parsers.load() == load(path, {})
        await eventually(lambda: not _pids(), "the process ends")
        assert await parsers.load() == load(path, {})


@on_loop
async def test_the_process_can_be_there_before_its_first_job(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does the job when that comes; until one came it is not started in vain again."""
    async with parsers_of(path) as parsers:
        assert parsers.is_cold()
        await parsers.expect()
        [pid] = await eventually(_pids, "the process to be there")
        assert not parsers.is_cold()
        assert await parsers.load() == load(path, {})
        assert _pids() == [pid]
        monkeypatch.setattr(module, "KEEP_S", 0.05)
        assert await parsers.load() == load(path, {})
        for is_again in (True, False):
            await eventually(lambda: not _pids(), "the process ends")
            assert parsers.is_cold() == is_again
            await parsers.expect()
        monkeypatch.setattr(module, "EXPECT_AGAIN_S", 0.0)
        assert parsers.is_cold()


@on_loop
async def test_a_file_that_is_not_there_cannot_be_changed(path: Path) -> None:
    """Which says so, and does not end the process."""
    async with parsers_of(path.with_name("none.yaml")) as parsers:
        for _ in range(2):
            with pytest.raises(OSError, match="No such file"):
                await parsers.change("remove_server", "a", {})
