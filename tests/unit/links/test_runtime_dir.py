"""The directory of a running gateway: locked, private, and never mistaken for another's."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from only1mcp.links.runtime_dir import (
    AlreadyRunning,
    RuntimeDir,
    RuntimeDirError,
    base_dir,
    for_port,
    running,
)
from tests.support.holding import holding

VARIABLES = ("ONLY1MCP_RUNTIME_DIR", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")
HOLD = """\
import sys
from only1mcp.links.runtime_dir import for_port
runtime_dir = for_port(9)
lock = runtime_dir.create()
runtime_dir.write_record({"pid": 1, "port": 9})
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point the runtime directory at a short temporary one."""
    with tempfile.TemporaryDirectory(prefix="o1-") as folder:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("ONLY1MCP_RUNTIME_DIR", folder)
        yield Path(folder)


def test_the_lock_keeps_a_second_gateway_out() -> None:
    """In the same process or another one."""
    lock = for_port(9).create()
    with pytest.raises(AlreadyRunning, match="another gateway runs in"):
        for_port(9).create()
    done = subprocess.run([sys.executable, "-c", HOLD], capture_output=True, text=True, check=False)
    assert "AlreadyRunning" in done.stderr
    os.close(lock)
    os.close(for_port(9).create())


def test_each_port_has_a_directory_and_a_lock_of_its_own() -> None:
    """Two gateways of one user get along."""
    locks = [for_port(port).create() for port in (9, 10)]
    assert for_port(9).path != for_port(10).path
    for lock in locks:
        os.close(lock)


def test_the_directory_is_ours_alone(base: Path) -> None:
    """And so is what is in it."""
    os.close(for_port(9).create())
    assert (base / "9").stat().st_mode & 0o777 == 0o700
    assert (base / "9" / "lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o710, 0o1777])
def test_a_directory_that_stands_open_is_refused_as_it_is(base: Path, mode: int) -> None:
    """Whoever made it may rely on that; we do not look at it, and change nothing."""
    path = base / "9"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(RuntimeDirError, match="others may look into"):
        for_port(9).create()
    assert path.stat().st_mode & 0o7777 == mode
    assert list(path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777])
def test_a_directory_that_others_use_too_is_left_as_it_is(base: Path, mode: int) -> None:
    """As `/tmp` and `/run` are; ours in it is private all the same."""
    base.chmod(mode)
    os.close(for_port(9).create())
    assert base.stat().st_mode & 0o7777 == mode
    assert (base / "9").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_in_which_others_could_replace_ours_is_refused(base: Path, mode: int) -> None:
    """It is not made safe behind its owner's back."""
    base.chmod(mode)
    with pytest.raises(RuntimeDirError, match="others may change what is in"):
        for_port(9).create()
    assert base.stat().st_mode & 0o7777 == mode
    assert list(base.iterdir()) == []


def test_a_directory_that_is_not_there_yet_is_made_for_us_alone(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the first start."""
    monkeypatch.setenv("ONLY1MCP_RUNTIME_DIR", str(base / "a" / "b"))
    os.close(for_port(9).create())
    assert (base / "a" / "b").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trap", ["symlink", "file"])
def test_a_directory_that_is_no_directory_of_ours_is_refused(base: Path, trap: str) -> None:
    """In a shared temporary directory somebody may have been there first."""
    (base / "elsewhere").mkdir()
    if trap == "symlink":
        (base / "9").symlink_to(base / "elsewhere")
    else:
        (base / "9").write_text("")
    with pytest.raises(OSError, match=r"is not a directory of ours|File exists"):
        for_port(9).create()


def test_a_directory_of_another_user_is_refused(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is locked or changed there."""
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    with pytest.raises(RuntimeDirError, match="is not a directory of ours"):
        for_port(9).create()
    assert not (base / "9" / "lock").exists()


def test_the_record_is_found_while_its_gateway_lives_and_not_after() -> None:
    """Even though a killed gateway leaves it behind."""
    assert for_port(9).read_record() is None
    with holding(HOLD) as process:
        assert for_port(9).read_record() == {"pid": 1, "port": 9}
        assert [found.path for found in running()] == [for_port(9).path]
        process.kill()
        process.wait()
        assert for_port(9).record.exists()
        assert for_port(9).read_record() is None
        assert running() == []


def test_reading_a_record_does_not_keep_a_gateway_from_starting() -> None:
    """The reader holds the lock for an instant at most."""
    os.close(for_port(9).create())
    read = "from only1mcp.links.runtime_dir import for_port\nprint('reading', flush=True)\n"
    with holding(f"{read}while True: for_port(9).read_record()"):
        for _ in range(20):
            os.close(for_port(9).create())


def test_a_record_that_is_damaged_or_missing_is_none() -> None:
    """While the lock is held."""
    runtime_dir = for_port(9)
    lock = runtime_dir.create()
    assert runtime_dir.read_record() is None
    runtime_dir.record.write_text("{")
    assert runtime_dir.read_record() is None
    runtime_dir.write_record({"port": 9})
    assert json.loads(runtime_dir.record.read_text()) == {"port": 9}
    os.close(lock)


def test_nothing_runs_where_nothing_ever_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing base directory is no error."""
    monkeypatch.setenv("ONLY1MCP_RUNTIME_DIR", "/nonexistent/only1mcp")
    assert running() == []
    assert for_port(9).read_record() is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_record_in_a_directory_of_another_user_is_not_believed(base: Path) -> None:
    """Whoever may write into a shared directory could pose as a gateway, for us to stop."""
    with holding(HOLD):
        assert for_port(9).read_record() == {"pid": 1, "port": 9}
        os.chown(base / "9", 4_000_000, -1)
        assert for_port(9).read_record() is None
        os.chown(base, 4_000_000, -1)
        assert for_port(9).read_record() == {"pid": 1, "port": 9}


def test_clearing_leaves_nothing_but_the_lock() -> None:
    """Whoever waits for the lock needs the file."""
    runtime_dir = for_port(9)
    lock = runtime_dir.create()
    runtime_dir.write_record({})
    (runtime_dir.path / "g1").mkdir()
    (runtime_dir.path / "g1" / "host.sock").touch()
    runtime_dir.clear()
    runtime_dir.clear()
    assert [path.name for path in runtime_dir.path.iterdir()] == ["lock"]
    os.close(lock)


def test_the_base_follows_the_platform_s_conventions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own variable, then systemd's, then the desktop's, then a private place."""
    assert str(base_dir()) == os.environ["ONLY1MCP_RUNTIME_DIR"]
    monkeypatch.delenv("ONLY1MCP_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")
    assert base_dir() == Path("/run/user/1/only1mcp")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/o1")
    assert base_dir() == Path("/run/o1")
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    assert base_dir().name == "only1mcp-1234"
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert base_dir() == Path("/run/only1mcp")


def test_the_sockets_have_short_names() -> None:
    """A unix socket's path has 108 bytes at most."""
    runtime_dir = RuntimeDir(Path("/x"))
    names = (runtime_dir.control_socket, runtime_dir.host_socket, runtime_dir.board_socket)
    assert len(set(names)) == 3
    assert all(len(path.name) <= 12 for path in names)
