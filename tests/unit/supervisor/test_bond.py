"""The socket between a supervisor and the one that takes its place."""

from only1mcp.supervisor.bond import GONE, READY, Bond, pair


def test_words_are_heard_one_by_one_and_then_that_the_other_has_gone() -> None:
    """Nobody waits: nothing said is not the same as nobody there."""
    ours, end = pair()
    theirs = Bond(end)
    assert ours.hear() is None
    theirs.say(READY)
    theirs.say(b"leave")
    assert [ours.hear(), ours.hear(), ours.hear()] == [READY, b"leave", None]
    theirs.close()
    assert ours.hear() == GONE
    ours.say(READY)  # to nobody
    ours.close()
