"""What a reload may not change."""

import pytest

from only1mcp.config.fixed import ANEW, FIXED, fixed_problems, with_port_kept
from only1mcp.config.loader import load_text
from only1mcp.config.settings import Settings


def _settings(text: str) -> Settings:
    return load_text("c.yaml", text, {})


@pytest.mark.parametrize(
    ("text", "key"),
    [("proxy: {port: 9}", "proxy.port"), ("proxy: {host: '::1'}", "proxy.host"),
     ("proxy: {listen: {sse: true}}", "proxy.listen.sse"),
     ("proxy: {limits: {idle_timeout: 5s}}", "proxy.limits.idle_timeout")],
)  # fmt: skip
def test_each_is_refused_by_its_name(text: str, key: str) -> None:
    """With what is to be done."""
    [problem] = fixed_problems(_settings("version: 1"), _settings(text))
    assert (problem.path, problem.hint, problem.file) == (key, ANEW, "c.yaml")


def test_of_the_limits_only_those_that_differ_are_named() -> None:
    """As they stand in the file, with what they were and would be."""
    text = "proxy: {limits: {max_wait: 1500ms, max_calls: 9}}"
    problems = fixed_problems(_settings("version: 1"), _settings(text))
    assert [(problem.path, problem.what.partition("(")[2]) for problem in problems] == [
        ("proxy.limits.max_calls", "1024 to 9)"),
        ("proxy.limits.max_wait", "0.1s to 1.5s)"),
    ]


def test_the_hint_does_not_name_a_command_that_would_not_help() -> None:
    """`only1mcp restart` replaces the workers, which keep what is fixed."""
    assert "restart" not in ANEW


@pytest.mark.parametrize(
    "text",
    ["proxy: {shutdown_timeout: 3s}", "log: {level: debug}", "servers: [{id: a, url: 'http://b/'}]",
     "proxy: {page_size: 3, allowed_hosts: [x], shutdown_timeout: 1s}",
     "servers: [{id: a, url: 'http://b/', routing: {virtual_nodes: 9}}]"],
)  # fmt: skip
def test_all_else_may_change(text: str) -> None:
    """There is nothing to refuse."""
    old, new = _settings("version: 1"), _settings(text)
    assert fixed_problems(old, new) == []
    assert old != new


def test_port_0_is_the_port_that_was_chosen() -> None:
    """It does not ask for another one at each reload."""
    old = with_port_kept(_settings("proxy: {port: 4711}"), _settings("proxy: {port: 0}"))
    assert old.port == 4711


def test_everything_fixed_is_a_member_of_the_settings() -> None:
    """None is left out by a slip of the pen."""
    assert set(FIXED) <= set(_settings("version: 1").to_plain())
