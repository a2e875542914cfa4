"""What is in the memory of which process, seen from outside."""

import subprocess
import sys
from pathlib import Path

import pytest

from only1mcp.transports.stdio import descendants
from tests.support.gateway import Gateway
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.first_line

PARSERS = ("_pydantic_core", "yaml/_yaml")
"""Compiled parts of what reads configurations: whoever has imported it has them mapped."""
HEAVY = {"pydantic", "yaml", "tomllib", "click", "prometheus_client", "http.server", "wsgiref"}


def _has_mapped(pid: int, names: tuple[str, ...]) -> bool:
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except OSError:  # it has ended
        return False
    return any(name in maps for name in names)


def _pids(gateway: Gateway) -> set[int]:
    """Return the pids of the processes that are there all the time."""
    return {row["pid"] for row in gateway.status()["processes"]}


def _reload(gateway: Gateway) -> int:
    """Change the configuration; return the pid of the one process that holds the parsers then."""
    gateway.configure(zoo(animal("a", "tame"), animal("b", "tame")))
    wait_until(lambda: len(gateway.status()["servers"]) == 2, "the new server is known")
    [reader] = [pid for pid in descendants(gateway.pid) if _has_mapped(pid, PARSERS)]
    return reader


def test_the_parsers_are_in_no_process_that_stays() -> None:
    """A reload starts one that holds them; all others are as before."""
    with Gateway(zoo(animal("a", "tame")), workers=2) as gateway:
        before = _pids(gateway)
        assert len(before) == 5
        assert not [pid for pid in descendants(gateway.pid) if _has_mapped(pid, PARSERS)]
        reader = _reload(gateway)
        assert _pids(gateway) == before
        assert reader not in before


def test_all_that_is_left_of_a_reload_ends_with_the_gateway() -> None:
    """The process that has read the configuration does not wait for another job."""
    with Gateway(zoo(animal("a", "tame"))) as gateway:
        reader = _reload(gateway)
        assert gateway.stop() == 143
        assert not _has_mapped(reader, PARSERS)


def test_what_a_start_needed_alone_is_let_go() -> None:
    """Of the file that holds all of OpenSSL for sessions, a worker keeps what it uses."""
    with Gateway(zoo(animal("a", "tame"))) as gateway:
        [worker] = gateway.pids("worker")
        for pid in (gateway.pid, worker):
            wait_until(lambda of=pid: _resident_kib(of, "_rust.abi3.so") < 1024, "it is let go")  # type: ignore[misc]


def _resident_kib(pid: int, name: str) -> int:
    """Return how much of a file's code a process has in memory."""
    _, *parts = Path(f"/proc/{pid}/smaps").read_text().split("r-xp ")
    ours = [part for part in parts if name in part.splitlines()[0]]
    return sum(int(part.partition("Rss:")[2].split()[0]) for part in ours)


def test_what_no_process_needs_is_not_imported() -> None:
    """By any of them: what the supervisor imports, all of them carry."""
    code = "import sys, only1mcp.supervisor.supervisor; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
