"""Which worker accepts on whose socket."""

import pytest

from only1mcp.supervisor.stand_ins import Post, stand_ins


@pytest.mark.parametrize(
    ("posts", "sockets", "wanted"),
    [
        ([Post(0b01, 2), Post(0b10, 2)], 2, [0, 0]),
        ([Post(0b01, 2)], 2, [0b10]),
        ([Post(0b0001, 4), Post(0b0100, 4)], 4, [0, 0b1010]),
        ([Post(0b001, 4), Post(0b010, 4), Post(0b100, 4)], 4, [0b1000, 0, 0]),
        ([Post(0b0101, 4)], 4, [0b1010]),
        ([Post(0b001, 1), Post(0b010, 3)], 3, [0, 0b100]),
        ([Post(0b001, 1)], 3, [0]),
        ([], 2, []),
    ],
    ids=["all are there", "one is gone", "two are gone", "shared", "in two places", "a new socket",
         "nobody has it", "nobody"],
)  # fmt: skip
def test_each_socket_is_served_by_somebody_who_has_it(
    posts: list[Post], sockets: int, wanted: list[int]
) -> None:
    """By its own worker, or by one that stands in for it."""
    assert stand_ins(posts, sockets) == wanted
