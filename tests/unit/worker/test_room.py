"""How many clients a worker lets in."""

import resource

import pytest

from only1mcp.config.loader import load_text
from only1mcp.config.settings import Settings
from only1mcp.worker.room import room_for


def settings(most: int) -> Settings:
    """Allow so many connections, to be shared by two workers."""
    text = f"proxy: {{workers: 2, limits: {{max_connections: {most}}}}}\nservers: []\n"
    return load_text("test.yaml", text, {})


@pytest.mark.parametrize(
    ("files", "room"),
    [(1000, (301, False)), (600, (300, True)), (602, (301, False)),
     (resource.RLIM_INFINITY, (301, False))],
)  # fmt: skip
def test_a_worker_has_its_share_but_half_of_its_files_at_most(
    files: int, room: tuple[int, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is known which of the two it is."""
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (files, files))
    assert room_for(settings(601)) == room


def test_a_worker_that_has_fewer_files_than_its_share_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do about it."""
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (100, 100))
    room_for(settings(90))
    assert caplog.messages == []
    room_for(settings(200))
    assert caplog.messages == ["room for 50 clients, not 100: raise the limit of open files"]
