"""What a client wants to be logged is in force at once, for it may call nothing any more."""

import os
import signal
from pathlib import Path

from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient
from tests.support.talker import talker
from tests.support.waiting import wait_until
from tests.support.zoo import zoo


def _noted(journal: Path) -> list[str]:
    """Return which levels the server was told so far."""
    return journal.read_text().split() if journal.exists() else []


def test_a_server_on_stdio_hears_of_the_lowest_level_at_once_and_again_when_it_starts_again(
    tmp_path: Path,
) -> None:
    """No call is needed for that; a higher level of another client changes nothing."""
    journal = tmp_path / "journal"
    with Gateway(zoo(talker("t", journal)), workers=2) as gateway:
        for level in ("warning", "debug", "error"):
            with McpClient(gateway.port) as client:
                client.initialize().request("logging/setLevel", level=level)
        wait_until(lambda: _noted(journal)[-1:] == ["debug"], "the lowest level")
        count = len(_noted(journal))
        os.kill(gateway.server("t")["pid"], signal.SIGKILL)
        wait_until(lambda: len(_noted(journal)) > count, "the level, told again")
        assert _noted(journal) in (["warning", "debug", "debug"], ["debug", "debug"])
