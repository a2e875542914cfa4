"""What one supervisor leaves to the next, across an exec."""

import dataclasses
import os
import socket

import orjson
import pytest

from only1mcp.supervisor.handover import VARIABLE, Handover, HandoverRefused


def _handover(listener: int) -> Handover:
    others = (os.memfd_create("test") for _ in range(5))
    lock, lasting, ended, bond, stderr = others
    return Handover((listener,), lock, lasting, ended, bond, stderr, 2, "localhost", "00ff",
                    client_slots=("ann",), up=("a", "b"))  # fmt: skip


def test_what_is_written_is_taken_and_told_to_nobody_else() -> None:
    """The variable is gone, and what the gateway starts inherits none of the descriptors."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        given = _handover(listener.fileno())
        for descriptor in given.descriptors:
            os.set_inheritable(descriptor, True)
        environment = {VARIABLE: str(given.write()), "OTHER": "stays"}
        taken = Handover.take(environment)
        assert taken == given
        assert environment == {"OTHER": "stays"}
        assert not any(os.get_inheritable(one) for one in given.descriptors)
        for descriptor in given.descriptors[1:]:
            os.close(descriptor)


def test_a_start_without_a_handover_takes_none() -> None:
    """Nor does one where the variable says nonsense."""
    assert Handover.take({}) is None
    assert Handover.take({VARIABLE: "nonsense"}) is None


def test_members_that_are_not_known_yet_are_passed_over_and_other_formats_refused() -> None:
    """A later program may say more; one that means something else says so."""
    given = _handover(0)
    for said, is_taken in (({"format": 1, "more": 1}, True), ({"format": 2}, False)):
        file = os.memfd_create("test")
        os.write(file, orjson.dumps({**dataclasses.asdict(given), **said}))
        if is_taken:
            assert Handover.take({VARIABLE: str(file)}) == given
        else:
            with pytest.raises(HandoverRefused):
                Handover.take({VARIABLE: str(file)})
