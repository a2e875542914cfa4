"""What `status` says of what went wrong."""

from typing import Any

import pytest

from only1mcp.cli.status import _print_servers, _print_upgrade


@pytest.mark.parametrize(
    ("upgrade", "said"),
    [
        (None, ""),
        ({"ok": True, "at": "then", "message": "done"}, ""),
        ({"ok": False, "at": "then", "message": "why"}, "the last upgrade failed at then: why\n"),
    ],
)
def test_an_upgrade_that_failed_is_told_with_its_reason(
    upgrade: dict[str, Any] | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that went well says so by its version."""
    _print_upgrade(upgrade)
    assert capsys.readouterr().out == said


def server(count: int, breaker: str, **more: Any) -> dict[str, Any]:
    """Describe a server with so many instances, of which the last has such a breaker."""
    usual = {
        "health": "up", "breaker": "closed", "in_flight": 0, "weight": 1, "weight_factor": 1.0,
        "latency_ms": 2.0,
    }  # fmt: skip
    instances = [{"url": f"http://h:{number}/mcp", **usual} for number in range(count)]
    instances[-1] |= {"breaker": breaker, **more}
    return {"id": "s", "state": "up", "instances": instances}


@pytest.mark.parametrize(
    ("count", "breaker", "rows"),
    [(1, "closed", 0), (1, "open", 1), (1, "half_open", 1), (2, "closed", 2), (3, "open", 3)],
)
def test_instances_are_shown_where_there_are_several_or_a_breaker_is_not_closed(
    count: int, breaker: str, rows: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the server's line says it all."""
    _print_servers([server(count, breaker), {"id": "stdio", "state": "up"}])
    out = capsys.readouterr().out
    assert (out.count("http://h:"), "BREAKER" in out) == (rows, rows > 0)


@pytest.mark.parametrize(
    ("left_s", "said"),
    [(22.0, "it broke; tried again in 22 s"), (0.0, "it broke; tried again with the next call")],
)
def test_an_instance_whose_breaker_is_open_is_told_with_when_it_is_tried_again(
    left_s: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind the reason."""
    _print_servers([server(1, "open", why="it broke", tried_again_in_s=left_s)])
    assert said in capsys.readouterr().out
