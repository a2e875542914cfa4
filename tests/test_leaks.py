"""Nothing of a call stays when it has ended: live objects are counted, not bytes."""

import gc
import json
from collections import Counter
from collections.abc import Callable

import pytest

from only1mcp.sessions import session
from tests.support.asking import CALL, Relayed, askable_desk
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.loop import on_loop

CALLS = 300
KEPT = "only1mcp.proxy.replay.Resumable"
Calls = Callable[[Desk], None]


def alive() -> Counter[str]:
    """Count the objects of the product by their type."""
    gc.collect()
    kinds = (type(one) for one in gc.get_objects())
    return Counter(
        f"{kind.__module__}.{kind.__qualname__}" for kind in kinds
        if str(kind.__module__).startswith("only1mcp")
    )  # fmt: skip


def settle(desk: Desk) -> None:
    """Forget what the fakes remember."""
    for backend in (*desk.backends.values(), *desk.hosted.values()):
        backend.calls.clear()
    desk.outcomes.clear()
    desk.attempts.clear()


def plain(desk: Desk) -> None:
    """Call as clients of both eras."""
    for call in (desk.modern, desk.legacy):
        call("tools/call", CALL)
        desk.backends["a"].answer(tool_result("x"))


def streamed(desk: Desk) -> None:
    """Call as a legacy client that hears of progress, and leaves before the answer."""
    told = desk.legacy("tools/call", {**CALL, "_meta": {"progressToken": 1}})
    backend = desk.backends["a"]
    token = json.loads(backend.calls[-1].outgoing.token or b"")
    backend.notify("notifications/progress", {"progressToken": token, "progress": 1})
    told.cancel()
    backend.answer(tool_result("x"))


def left(desk: Desk) -> None:
    """Call as a client that leaves at once."""
    desk.modern("tools/call", CALL).cancel()


def asked(desk: Desk) -> None:
    """Call as a legacy client that answers a question."""
    relayed = Relayed(desk)
    relayed.ask()
    relayed.reply()
    relayed.backend.answer(tool_result("x"))


def unanswered(desk: Desk) -> None:
    """Call as a legacy client that does not answer a question, and one that was taken back."""
    relayed = Relayed(desk)
    relayed.ask(1)
    relayed.ask(2)
    relayed.backend.notify("notifications/cancelled", {"requestId": 2})
    relayed.backend.answer(tool_result("x"))


@pytest.mark.parametrize("calls", [plain, streamed, left, asked, unanswered])
@on_loop
async def test_ended_calls_leave_nothing(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many as after a few; streams that clients may come back for hold their events alone."""
    monkeypatch.setattr(session, "_REMEMBERED", 10)
    desk = askable_desk()
    desk.edition.update(catalogue("a", tools="x"))

    def after(count: int) -> Counter[str]:
        for _ in range(count):
            calls(desk)
        settle(desk)
        return alive()

    before = after(10)
    grown = after(CALLS) - before
    del grown[KEPT]
    assert not {kind: more for kind, more in grown.items() if more > CALLS // 10}
