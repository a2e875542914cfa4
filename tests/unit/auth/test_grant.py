"""What an allow-list allows, and nothing beside it."""

import fnmatch
import itertools

import pytest

from only1mcp.auth.grant import Grant, is_literal


@pytest.mark.parametrize(
    ("patterns", "allowed", "refused"),
    [
        (("*",), "a b_c A", ""),
        ((), "", "a A"),
        (("a",), "a", "A ab ba b"),
        (("a*",), "a ab a.b", "ba A"),
        (("*a",), "a ba", "ab"),
        (("a?c",), "abc a.c", "ac abbc"),
        (("a.c",), "a.c", "abc"),
        (("[ab]",), "[ab]", "a b"),
        (("(a|b)",), "(a|b)", "a b"),
        (("a", "b*"), "a b bc", "c ab"),
        (("!a",), "!a", "a b"),
        (("*" * 50 + "b",), "b aab", "a"),
    ],
)
def test_patterns_know_stars_and_question_marks_alone(
    patterns: tuple[str, ...], allowed: str, refused: str
) -> None:
    """Case matters, and nothing else has a meaning."""
    grant = Grant(servers=patterns)
    assert [name for name in allowed.split() if not grant.allows_server(name)] == []
    assert [name for name in refused.split() if grant.allows_server(name)] == []


def test_a_line_end_is_no_way_out_of_a_pattern() -> None:
    """Names are what servers choose."""
    assert not Grant(servers=("a",)).allows_server("a\n")
    assert not Grant(tools=("a__*",)).allows_tool("s", "b\na__x")
    assert Grant(tools=("a__*",)).allows_tool("s", "a__x\ny")


def test_all_short_patterns_mean_what_the_shell_means_by_them() -> None:
    """Beside an implementation that is not ours."""
    for pattern in map("".join, itertools.product("ab*?", repeat=3)):
        grant = Grant(servers=(pattern,))
        for size in range(5):
            for name in map("".join, itertools.product("ab", repeat=size)):
                assert grant.allows_server(name) == fnmatch.fnmatchcase(name, pattern), (
                    pattern, name,
                )  # fmt: skip


def test_a_tool_needs_its_server_as_well() -> None:
    """The two lists are one condition each."""
    grant = Grant(servers=("a",), tools=("*__read*",))
    assert grant.allows_tool("a", "a__read_file")
    assert not grant.allows_tool("b", "b__read_file")
    assert not grant.allows_tool("a", "a__write_file")


def test_a_grant_knows_when_it_leaves_nothing_out() -> None:
    """Then there is nothing to filter."""
    assert Grant().is_everything
    assert not Grant(servers=("a*",)).is_everything
    assert not Grant(tools=()).is_everything
    assert is_literal("a.b")
    assert not is_literal("a?")
