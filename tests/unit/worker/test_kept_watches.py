"""A worker's copy of what legacy sessions watch."""

from typing import Any

import pytest

from only1mcp.tasks import Tasks
from only1mcp.worker import kept_watches
from only1mcp.worker.kept_watches import KeptWatches
from tests.support.loop import eventually, on_loop
from tests.support.told_link import ToldLink

KEPT = [7, 8, [["srv", "r://1"], ["srv", "r://2"]]]


@on_loop
async def test_a_new_host_is_told_what_sessions_watch_that_have_not_let_go() -> None:
    """With what their clients can be asked; what was let go, wholly or in part, is not told."""
    link, tasks = ToldLink(), Tasks()
    subject = KeptWatches(link, lambda: [7], tasks)
    subject.take({"kept": KEPT})
    for serial in (8, 9, 10):
        subject.take({"kept": [serial, 0, [["srv", "r://1"]]]})
    subject.take({"let_go": [7, [["srv", "r://1"]]]})
    subject.take({"let_go": [8, []]})
    subject.ended(9)
    subject.greet()
    assert link.notes == [
        {"kept": [7, 8, [("srv", "r://2")]]}, {"kept": [10, 0, [("srv", "r://1")]]},
        {"alive": [7]},
    ]  # fmt: skip
    await tasks.cancel_all()


@on_loop
async def test_the_host_is_told_again_and_again_whose_clients_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They have a stream here or have sent something since; who watches nothing does not count."""
    monkeypatch.setattr(kept_watches, "REPORT_S", 0.001)
    link, tasks, streams = ToldLink(), Tasks(), [7, 5]
    subject = KeptWatches(link, lambda: streams, tasks)

    def reported(*serials: int) -> bool:
        said: list[Any] = [sorted(note["alive"]) for note in link.notes]
        link.notes.clear()
        return list(serials) in said

    for serial in (7, 8):
        subject.take({"kept": [serial, 0, [["srv", "r://1"]]]})
    subject.saw(8)
    subject.saw(6)
    await eventually(lambda: reported(7, 8), "the first report")
    await eventually(lambda: reported(7), "a report without the one that is quiet")
    streams.clear()
    subject.saw(8)
    await eventually(lambda: reported(8), "a report of the request")
    for serial in (7, 8):
        subject.ended(serial)
    await eventually(lambda: not subject.is_reporting, "the end of the reports")
    await tasks.cancel_all()
