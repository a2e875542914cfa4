"""Bells between processes."""

import os
import select

import pytest

from only1mcp.process.bells import Bells, heard
from tests.support.forking import fork, join


def _rings(descriptor: int) -> bool:
    watch = select.poll()
    watch.register(descriptor, select.POLLIN)
    return bool(watch.poll(0))


def test_everybody_is_rung_for_until_they_have_heard() -> None:
    """From another process; ringing twice is ringing once."""
    bells = Bells(3)

    def ring() -> None:
        bells.ring()
        bells.ring()

    assert not any(_rings(bells.of(row)) for row in range(3))
    assert join(fork(ring)) == [0]
    for row in range(3):
        assert _rings(bells.of(row))
        heard(bells.of(row))
        assert not _rings(bells.of(row))


def test_a_process_keeps_its_own_bell_alone() -> None:
    """The descriptors of the others' are closed, and it rings for none of them."""
    bells = Bells(3)
    others = [bells.of(0), bells.of(2)]
    bells.keep([1])
    for descriptor in others:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    bells.ring()
    assert _rings(bells.of(1))
