"""What is learned from each start of a server."""

from only1mcp.backends.pipe_handshake import AnsweredLate
from only1mcp.errors import BackendLost, BackendProtocolError, BackendTimeout, BackendUnreachable
from only1mcp.host.manner import Manner


def test_a_server_that_ends_or_stays_silent_is_met_the_other_way_the_next_time() -> None:
    """It may not stand the probe; without it, it may not have stood that."""
    manner = Manner()
    for error, probe, was_silent in (
        (BackendLost("gone"), False, False), (BackendTimeout("late"), True, True),
        (BackendLost("gone"), False, False), (BackendUnreachable("no"), False, False),
    ):  # fmt: skip
        manner.failed(error)
        assert (manner.probe, manner.was_silent, manner.is_slow) == (probe, was_silent, False)


def test_a_server_that_speaks_no_legacy_revision_gets_the_probe_again() -> None:
    """And its words count, whatever was before."""
    manner = Manner(probe=False, was_silent=True)
    manner.failed(BackendProtocolError("no revision of ours"))
    assert manner == Manner()


def test_a_server_that_answered_late_once_is_given_time_from_then_on() -> None:
    """It is as slow at each start."""
    manner = Manner()
    manner.failed(AnsweredLate("slow"))
    assert manner == Manner(is_slow=True)
    manner.met(ignores_probe=False)
    manner.failed(BackendProtocolError("something else"))
    assert manner == Manner(is_slow=True)


def test_a_server_that_passes_over_the_probe_is_spared_it() -> None:
    """Also when it is met again without it, where nothing can be passed over."""
    manner = Manner(was_silent=True)
    manner.met(ignores_probe=True)
    manner.met(ignores_probe=False)
    assert manner == Manner(probe=False)
