"""What several processes find out is told once."""

from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.told import Told
from tests.support.forking import fork, join
from tests.support.lock_file import LOCK_FILE


def test_what_one_process_has_told_is_no_news_for_the_others() -> None:
    """Also for those that are forked later; something else is news."""
    memory, lock = SharedMemory(Layout(1, 0, 0)), LOCK_FILE

    def tell() -> None:
        assert Told(memory, lock).is_news("a and b collide")

    assert join(fork(tell)) == [0]
    told = Told(memory, lock)
    assert not told.is_news("a and b collide")
    assert told.is_news("a and c collide")
    assert not told.is_news("a and c collide")
