"""The key that seals sessions: made once, kept for our user alone."""

import os
from pathlib import Path

import pytest

from only1mcp.supervisor.keys import KEY_BYTES, session_key, state_dir
from tests.support.forking import fork, join


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return path.stat().st_mode & 0o777


def test_a_key_is_made_on_the_first_start_and_used_again(tmp_path: Path) -> None:
    """So that sessions survive a restart."""
    directory = tmp_path / "a" / "b"
    key = session_key(directory)
    assert len(key) == KEY_BYTES
    assert session_key(directory) == key
    assert [path.name for path in directory.iterdir()] == ["session.key"]


def test_two_directories_have_two_keys(tmp_path: Path) -> None:
    """It is random."""
    assert session_key(tmp_path / "a") != session_key(tmp_path / "b")


def test_nobody_else_can_read_the_key(tmp_path: Path) -> None:
    """Also when it was left open to all."""
    directory = tmp_path / "state"
    session_key(directory)
    assert (mode(directory), mode(directory / "session.key")) == (0o700, 0o600)
    (directory / "session.key").chmod(0o644)
    session_key(directory)
    assert mode(directory / "session.key") == 0o600


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_replaced_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """All sessions end; the gateway starts."""
    (tmp_path / "session.key").write_bytes(content)
    key = session_key(tmp_path)
    assert (len(key), session_key(tmp_path)) == (KEY_BYTES, key)
    assert "is damaged" in caplog.text


def test_where_nothing_can_be_written_a_key_for_this_run_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says what that means."""
    (tmp_path / "file").write_text("")
    first, second = session_key(tmp_path / "file"), session_key(tmp_path / "file" / "below")
    assert len(first) == len(second) == KEY_BYTES
    assert first != second
    assert caplog.text.count("sessions will not survive a restart") == 2


def test_gateways_that_start_at_once_agree_on_the_key(tmp_path: Path) -> None:
    """Whoever comes second takes the first one's."""
    go, start = os.pipe()
    reading, writing = os.pipe()

    def make() -> None:
        os.close(start)
        os.read(go, 1)
        os.write(writing, session_key(tmp_path / "state"))

    children = [fork(make) for _ in range(8)]
    os.close(start)
    assert join(*children) == [0] * 8
    for descriptor in (go, writing):
        os.close(descriptor)
    with os.fdopen(reading, "rb") as pipe:
        keys = pipe.read()
    assert {keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)} == {
        session_key(tmp_path / "state")
    }
    assert len(keys) == 8 * KEY_BYTES


def test_the_state_directory_follows_the_platform_s_conventions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Our own variable, then systemd's, then the desktop's, then the home directory."""
    for name in ("ONLY1MCP_HOME", "STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/h")
    assert state_dir() == Path("/h/.local/state/only1mcp")
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert state_dir() == Path("/x/only1mcp")
    monkeypatch.setenv("STATE_DIRECTORY", "/s")
    assert state_dir() == Path("/s")
    monkeypatch.setenv("ONLY1MCP_HOME", "/o")
    assert state_dir() == Path("/o")
