"""The service manager hears of each change, over a real datagram socket."""

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from only1mcp.supervisor.notify import Notifier

CHANGES: list[tuple[Callable[[Notifier], None], dict[str, str | None]]] = [
    (lambda n: n.ready("serving on port 9"),
     {"READY": "1", "MAINPID": str(os.getpid()), "STATUS": "serving on port 9"}),
    (Notifier.reloading, {"RELOADING": "1", "MONOTONIC_USEC": None}),
    (Notifier.stopping, {"STOPPING": "1", "STATUS": "draining"}),
    (Notifier.alive, {"WATCHDOG": "1"}),
]  # fmt: skip


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, str]]:
    """Listen as systemd does; gives the socket and its address as NOTIFY_SOCKET has it."""
    with (
        tempfile.TemporaryDirectory(prefix="o1-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.settimeout(10.0)
        if request.param == "path":
            address = str(Path(folder) / "notify")
            sock.bind(address)
        else:
            address = f"@only1mcp-test-{os.getpid()}-{id(sock)}"
            sock.bind("\0" + address[1:])
        yield sock, address


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_each_change_is_one_datagram(
    manager: tuple[socket.socket, str],
    change: Callable[[Notifier], None], expected: dict[str, str | None],
) -> None:  # fmt: skip
    """With the fields that sd_notify(3) names."""
    sock, address = manager
    change(Notifier({"NOTIFY_SOCKET": address}))
    fields = dict(line.split("=", 1) for line in sock.recv(4096).decode().splitlines())
    assert fields.keys() == expected.keys()
    assert all(value is None or fields[name] == value for name, value in expected.items())


def test_a_reload_bears_the_time_of_the_monotonic_clock(
    manager: tuple[socket.socket, str],
) -> None:
    """In microseconds, so that the manager can order it."""
    sock, address = manager
    before = time.monotonic_ns() // 1000
    Notifier({"NOTIFY_SOCKET": address}).reloading()
    stamp = int(sock.recv(4096).decode().partition("MONOTONIC_USEC=")[2])
    assert before <= stamp <= time.monotonic_ns() // 1000


def test_without_a_manager_nothing_happens() -> None:
    """As on a terminal."""
    for change, _ in CHANGES:
        change(Notifier({}))


def test_a_manager_that_never_reads_does_not_hold_us_up(tmp_path: Path) -> None:
    """What its queue has no room for is not said; nobody waits for room."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.sendto(b"x", str(tmp_path / "notify"))
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}).alive()


def test_a_manager_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    """Nor one that never was, or whose address is too long."""
    for address in (str(tmp_path / "gone"), "@nobody-listens", "x" * 300):
        for change, _ in CHANGES:
            change(Notifier({"NOTIFY_SOCKET": address}))


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None), ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None), ({"WATCHDOG_USEC": ""}, None),
    ],
)  # fmt: skip
def test_the_watchdog_is_fed_twice_as_often_as_it_looks(
    environment: dict[str, str], interval_s: float | None
) -> None:
    """If it is there at all, and means this process."""
    assert Notifier(environment).watchdog_s == interval_s
