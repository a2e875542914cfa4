"""How a problem reads."""

import json

from only1mcp.config.problems import NOWHERE, ConfigInvalid, Place, Problem


def test_a_problem_reads_like_a_compiler_s_message() -> None:
    """Editors jump to file:line:column."""
    problem = Problem("c.yaml", Place(3, 7), "proxy.port", "is wrong", "correct it")
    assert str(problem) == "c.yaml:3:7: proxy.port: is wrong. correct it"


def test_what_is_not_known_is_left_out() -> None:
    """No place, no key, no hint."""
    assert str(Problem("VARIABLE", NOWHERE, "", "is wrong", "")) == "VARIABLE: is wrong"


def test_a_problem_has_a_plain_form_for_other_programs() -> None:
    """`only1mcp validate --json` prints it."""
    problem = Problem("c.yaml", Place(3, 7), "a", "b", "c")
    assert json.loads(json.dumps(problem.to_plain())) == {
        "file": "c.yaml", "line": 3, "column": 7, "path": "a", "what": "b", "hint": "c",
    }  # fmt: skip


def test_the_exception_keeps_every_problem() -> None:
    """From any iterable."""
    problem = Problem("f", NOWHERE, "", "w", "")
    error = ConfigInvalid(iter([problem, problem]))
    assert error.problems == [problem, problem]
    assert str(error) == "f: w\nf: w"
