"""Ids of requests to servers come once, whichever process takes them."""

import itertools

import pytest

from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.message_ids import BLOCK, MessageIds
from tests.support.forking import fork, join
from tests.support.lock_file import LOCK_FILE

LARGEST = 2**53 - 1
"""That a number of JavaScript can tell from its neighbours."""


def shared() -> tuple[SharedMemory, int]:
    """Return a mapping and its lock."""
    return SharedMemory(Layout(workers=1, servers=1, metric_slots=4)), LOCK_FILE


@pytest.mark.parametrize("count", [1, 256, BLOCK // 2 + 1])
def test_no_id_comes_twice(count: int) -> None:
    """However many are taken at a time, by two in turn, and beyond the end of a block."""
    memory, lock = shared()
    both = [MessageIds(memory, lock), MessageIds(memory, lock)]
    taken: set[range] = set()
    for turn in range(min(3 * BLOCK // count, 20_000)):
        first = both[turn % 2].take(count)
        taken.add(range(first, first + count))
    ordered = sorted(taken, key=lambda some: some.start)
    assert ordered[0].start > 0
    assert all(a.stop <= b.start for a, b in itertools.pairwise(ordered))


def test_a_process_that_starts_again_repeats_none() -> None:
    """The one before it ended without a word."""
    memory, lock = shared()
    assert MessageIds(memory, lock).take(1) == 1
    assert join(fork(lambda: _takes(MessageIds(memory, lock), BLOCK))) == [0]
    assert MessageIds(memory, lock).take(1) == 2 * BLOCK


def _takes(ids: MessageIds, expected: int) -> None:
    assert ids.take(1) == expected


def test_the_last_block_is_of_numbers_that_every_server_can_read() -> None:
    """It is the 2^33rd."""
    memory, lock = shared()
    memory.blocks[0] = 2**33 - 1
    ids = MessageIds(memory, lock)
    assert ids.take(BLOCK - 1) + BLOCK - 2 < ids.take(1) == LARGEST
