"""What `status` says of what went wrong last."""

from typing import Any

import pytest

from only1mcp.cli.status import _print_upgrade


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
