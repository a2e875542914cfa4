"""Words that one program leaves to the next."""

import os

import pytest

from only1mcp.memory.lasting import Lasting, NotUnderstood

LENGTHS = {"a": 3, "b": 2}


def test_the_next_program_reads_and_writes_the_same_words() -> None:
    """Both serve for a while, and what one notes the other sees."""
    first = Lasting(LENGTHS)
    first.section("a")[2], first.section("b")[0] = 7, 8
    second = Lasting(LENGTHS, os.dup(first.file))
    assert [*second.section("a")] == [0, 0, 7]
    second.section("b")[1] = 9
    assert [*first.section("b")] == [8, 9]


@pytest.mark.parametrize("lengths", [{"a": 3}, {"a": 2, "b": 3}, {"b": 2, "a": 3}])
def test_words_of_another_plan_are_not_understood(lengths: dict[str, int]) -> None:
    """Whether there are more of them, or they stand elsewhere."""
    first = Lasting(LENGTHS)
    with pytest.raises(NotUnderstood):
        Lasting(lengths, first.file)
