"""The verdicts on servers, one word each."""

from only1mcp.memory.health_words import Health, HealthWords
from only1mcp.memory.layout import Layout, SharedMemory
from tests.support.forking import fork, join


def words(servers: int) -> HealthWords:
    """Return the words of some servers."""
    return HealthWords(SharedMemory(Layout(workers=1, servers=servers, metric_slots=3)))


def test_nothing_is_known_at_first() -> None:
    """And nothing counts as up."""
    subject = words(3)
    assert [subject.read(index) for index in range(3)] == [Health.UNKNOWN] * 3
    assert subject.count() == (0, 3)
    assert not subject.usable()


def test_a_verdict_is_read_in_every_process() -> None:
    """Where it was written does not matter."""
    subject = words(3)
    assert join(fork(lambda: subject.write(1, Health.UP))) == [0]
    assert subject.read(1) is Health.UP
    assert subject.count() == (1, 3)
    assert subject.usable()


def test_only_up_is_usable() -> None:
    """Neither a server that is down nor one that is parked answers."""
    subject = words(2)
    subject.write(0, Health.DOWN)
    subject.write(1, Health.PARKED)
    assert not subject.usable()


def test_a_gateway_without_servers_is_usable() -> None:
    """There is nothing to wait for."""
    assert words(0).usable()
    assert words(0).count() == (0, 0)
