"""Two files change places."""

from pathlib import Path

import pytest

from only1mcp.config import exchange as module
from only1mcp.config.exchange import exchange


def test_two_files_change_their_places(tmp_path: Path) -> None:
    """Each is the same file as before, under the other name."""
    one, other = tmp_path / "one", tmp_path / "größer"
    one.write_text("1")
    other.write_text("2")
    inodes = one.stat().st_ino, other.stat().st_ino
    assert exchange(one, other)
    assert (one.read_text(), other.read_text()) == ("2", "1")
    assert (other.stat().st_ino, one.stat().st_ino) == inodes


def test_what_cannot_be_exchanged_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Because one is not there, or the system does not know how."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    with pytest.raises(FileNotFoundError):
        exchange(one, other)
    other.write_text("2")
    monkeypatch.setattr(module, "_libc", object())
    assert not exchange(one, other)
    assert (one.read_text(), other.read_text()) == ("1", "2")
