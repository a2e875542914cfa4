"""The official SDK's legacy client goes on hearing of updates when the program is upgraded."""

import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.real.http_server import everything
from tests.real.installed import ALLOWED, PY1, ROOT, node_server
from tests.support.gateway import Gateway
from tests.support.installed import upgrade
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.real, pytest.mark.first_line]
URI = "demo://resource/dynamic/text/1"
TIMES = 5
"""More often than streams that replace others tell of what may have been missed."""


class Watcher:
    """The client, a process of its own, and what it says."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._said = queue.Queue[str]()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line.strip())

    def next(self) -> str:
        """Return what it says next."""
        return self._said.get(timeout=PATIENCE_S)

    def hear(self, times: int) -> None:
        """Have the server tell of the resource, on and off, until it has heard of that so often."""
        assert self._process.stdin is not None
        deadline = time.monotonic() + PATIENCE_S
        while times > 0:
            assert time.monotonic() < deadline, f"{times} times less than it should"
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            while (said := self.next()) != "called":
                times -= said == f"updated {URI}"


@contextmanager
def _watcher(gateway: Gateway, *more: str) -> Iterator[Watcher]:
    command = [PY1, "-m", "tests.real.clients.py1_watcher", gateway.url, URI]
    with subprocess.Popen(
        [*command, "srv__toggle-subscriber-updates", *more], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield Watcher(process)
        finally:
            process.kill()


def _declared(transport: str, stack: ExitStack) -> dict[str, Any]:
    if transport == "stdio":
        return node_server("srv", "server-everything", "stdio")
    return {"id": "srv", "transport": "http", "url": stack.enter_context(everything()).url}


@pytest.mark.parametrize("more", [(), ("roots",)], ids=["shared", "own"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_sdk_hears_of_updates_after_an_upgrade_and_subscribes_once(
    tmp_path: Path, transport: str, more: tuple[str, ...]
) -> None:
    """It opens its stream again by itself, and the server tells of nothing but what it has to."""
    with ExitStack() as stack:
        servers = [_declared(transport, stack)]
        config = {"servers": servers, "stdio": {"allowed_commands": ALLOWED}}
        gateway = stack.enter_context(Gateway(config, workers=2, directory=tmp_path))
        client = stack.enter_context(_watcher(gateway, *more))
        assert client.next() == "subscribed"
        client.hear(TIMES)
        for _ in range(2):
            assert "data" in upgrade(gateway)
            client.hear(TIMES)
