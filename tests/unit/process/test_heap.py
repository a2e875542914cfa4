"""What a burst leaves behind is given back, in a process of its own each time."""

import gc
import subprocess
import sys
import weakref

import pytest

from only1mcp.process.heap import Heap

_BURST = """
import pathlib, re, sys
from only1mcp.process.heap import Heap

def resident_kib():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search("RssAnon:\\s+(\\d+)", status)[1])

class Cycle:
    def __init__(self, text):
        self.text, self.itself = text, self

heap = Heap()
stays, burst = [], []
for _ in range(1000):
    text = b"x" * 60_000
    burst.append(Cycle(text) if sys.argv[1] == "cycles" else text)
    stays.append(b"x" * 1_000)
del text
before = resident_kib()
if sys.argv[1] != "used":
    burst.clear()
heap.tidy()
print(before - resident_kib())
"""


@pytest.mark.parametrize(
    ("what", "most_of_it"), [("free", True), ("cycles", True), ("used", False)]
)
def test_what_nobody_uses_any_more_is_given_back(what: str, most_of_it: bool) -> None:
    """Be it free, between things that stay, or a cycle that Python is yet to look for."""
    done = subprocess.run(
        [sys.executable, "-c", _BURST, what], check=True, capture_output=True, text=True
    )
    assert (int(done.stdout) > 30 * 1024) is most_of_it


class Old:
    """One object in a cycle, which has survived collections."""

    def __init__(self) -> None:
        self.itself = self
        gc.collect()


def test_what_other_settings_leave_is_looked_for_though_it_is_little() -> None:
    """A collection of all costs the less, the less there is."""
    gc.disable()
    try:
        heap, found = Heap(), weakref.ref(Old())
        heap.tidy()
        assert found() is not None
        heap.tidy(has_turned=True)
        assert found() is None
    finally:
        gc.enable()
