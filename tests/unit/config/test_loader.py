"""Everything that is wrong with a configuration is said at once, each thing at its place."""

import os
from pathlib import Path

import pytest

from only1mcp.config.loader import MAX_PROBLEMS, load, load_text
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.schema import HOST_PATTERN, ORIGIN_PATTERN
from only1mcp.config.source_file import MAX_BYTES
from tests.support.configuration import problems_of, settings_of

SERVER = "servers:\n  - id: a\n    command: python3\n"
URL = "servers:\n  - id: a\n    url: http://h/mcp\n"
AMONG_KNOWN = "known here: auth, log, mcpServers, proxy, servers, stdio, version"

PROBLEMS = [
    # text, the one problem
    ("[]", "c.yaml:1:1: must be a mapping of keys. see `only1mcp init`"),
    ("just words", "c.yaml:1:1: must be a mapping of keys. see `only1mcp init`"),
    ("version: 2", "c.yaml:1:10: version: input should be '1.0' or '1'"),
    ("prxy: {}", 'c.yaml:1:1: prxy: unknown key. Did you mean "proxy"?'),
    ("zzz: 1", f"c.yaml:1:1: zzz: unknown key. {AMONG_KNOWN}"),
    ("on: 1", f"c.yaml:1:1: on: unknown key. {AMONG_KNOWN}"),
    ("proxy:\n  limits:\n    max_bdy: 1",
     'c.yaml:3:5: proxy.limits.max_bdy: unknown key. Did you mean "max_body"?'),
    (SERVER + "    comand: x",
     'c.yaml:4:5: servers[0].comand: unknown key. Did you mean "command"?'),
    (SERVER + "    health_check: {intervall: 3s}",
     'c.yaml:4:20: servers[0].health_check.intervall: unknown key. Did you mean "interval"?'),
    ("proxy: 3", "c.yaml:1:8: proxy: input should be a valid dictionary or instance of "
     "ProxySection"),
    ("proxy:\n  port: 70000", "c.yaml:2:9: proxy.port: input should be less than or equal to "
     "65535"),
    ("proxy: {port: -1}", "c.yaml:1:15: proxy.port: input should be greater than or equal to 0"),
    ("proxy: {port: x}", "c.yaml:1:15: proxy.port: input should be a valid integer, unable to "
     "parse string as an integer"),
    *[(f"proxy:\n  workers: {value}", "c.yaml:2:12: proxy.workers: must be 1 to 64, or auto")
      for value in ("0", "65", "-1", "many", "true", "2.5", "[1]", "99999999999999999999")],
    ("proxy: {timeout: 30}", "c.yaml:1:18: proxy.timeout: a duration needs a number and a unit, "
     "as 500ms, 30s, 5m or 1h"),
    ("proxy: {timeout: 0s}", "c.yaml:1:18: proxy.timeout: input should be greater than 0"),
    ("proxy: {limits: {max_body: 4 MB}}", "c.yaml:1:28: proxy.limits.max_body: a size is a "
     "number of bytes or has a unit, as 64KiB or 4MiB"),
    ("proxy: {limits: {max_body: 33MiB}}", "c.yaml:1:28: proxy.limits.max_body: input should be "
     "less than or equal to 33554432"),
    *[(f"proxy: {{allowed_hosts: ['{host}']}}", f"c.yaml:1:25: proxy.allowed_hosts[0]: string "
       f"should match pattern '{HOST_PATTERN}'. write a host without a port, as "
       "gateway.example.com") for host in ("a.org:8443", "*", "*.a.org", "http://a.org", "")],
    *[(f"proxy: {{allowed_origins: ['{origin}']}}", f"c.yaml:1:27: proxy.allowed_origins[0]: "
       f"string should match pattern '{ORIGIN_PATTERN}'. write an origin as "
       "https://app.example.com") for origin in ("a.org", "*", "https://*.a.org", "null",
                                                 "https://a.org/app")],
    ("proxy: {routing: {algorithm: best}}", "c.yaml:1:30: proxy.routing.algorithm: input "
     "should be 'round_robin', 'least_connections', 'consistent_hash', 'random' or "
     "'weighted_random'"),
    ("servers: {}", "c.yaml:1:10: servers: input should be a valid list"),
    ("servers: [3]", "c.yaml:1:11: servers[0]: input should be a valid dictionary or instance of "
     "ServerSection"),
    ("servers: [{}]", "c.yaml:1:11: servers[0]: the key is missing. add id"),
    ("servers:\n- id: a b\n  command: node", "c.yaml:2:7: servers[0].id: string should match "
     "pattern '^[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?$'. use letters, digits, '_', '-' "
     "and '.'"),
    ("servers:\n- id: a\n  url: ftp://x", "c.yaml:3:8: servers[0].url: string should match "
     r"pattern '^(https?|wss?)://[^\s/?#]+[^\s#]*$'. write an address as http://127.0.0.1:9000/mcp"),
    ("servers:\n- id: a\n  instances: [{url: 'ws://h/'}]", "c.yaml:3:21: "
     "servers[0].instances[0].url: string should match "
     r"pattern '^https?://[^\s/?#]+[^\s#]*$'. write an address as http://127.0.0.1:9000/mcp"),
    ("servers:\n- id: a\n  instances: [{url: 'http://h/', weight: 0}]",
     "c.yaml:3:42: servers[0].instances[0].weight: input should be greater than or equal to 1"),
    ("mcpServers:\n  x: {httpUrl: bad}", "c.yaml:2:16: mcpServers.x.httpUrl: string should match "
     r"pattern '^(https?|wss?)://[^\s/?#]+[^\s#]*$'. write an address as http://127.0.0.1:9000/mcp"),
    ("mcpServers:\n  x: {command: 3}", "c.yaml:2:16: mcpServers.x.command: input should be a "
     "valid string. put it in quotes"),
    (SERVER + "    env: {A: 1}", "c.yaml:4:14: servers[0].env.A: input should be a valid string. "
     "put it in quotes"),
    ("a: &a [*a]", "c.yaml:1:4: is nested too deeply. 100 levels are the most; "
     "in YAML an alias may hold itself"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), PROBLEMS, ids=[str(i) for i in range(len(PROBLEMS))])
def test_a_problem_is_said_with_its_place_its_key_and_what_to_do(text: str, problem: str) -> None:
    """File, line, column, path, what, hint."""
    assert problems_of(text) == [problem]


def test_all_problems_are_reported_together() -> None:
    """A person corrects a file in one go: syntax of values, unknown keys, references, repeats."""
    text = (
        "version: 3\nproxy:\n  port: ${NOPE}\n  prot: 1\n  timeout: soon\n  host: a\n  host: b\n"
        "servers:\n  - url: http://h/\n"
    )
    assert sorted(problems_of(text)) == [
        "c.yaml:1:10: version: input should be '1.0' or '1'",
        "c.yaml:3:9: proxy.port: ${NOPE} is not set. set NOPE, or write ${NOPE:-default}",
        'c.yaml:4:3: proxy.prot: unknown key. Did you mean "port"?',
        "c.yaml:5:12: proxy.timeout: a duration needs a number and a unit, as 500ms, 30s, 5m or 1h",
        "c.yaml:7:3: proxy.host: the key stands twice. keep one of them",
        "c.yaml:9:5: servers[0]: the key is missing. add id",
    ]


def test_the_message_of_the_exception_holds_one_line_for_each_problem() -> None:
    """What `only1mcp validate` prints and what a log shows is the same."""
    with pytest.raises(ConfigInvalid) as caught:
        settings_of("prxy: 1\nsevers: []")
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    assert len(caught.value.problems) == 2


def test_a_hopeless_file_does_not_fill_the_screen() -> None:
    """There is a bound on how many are shown."""
    assert len(problems_of("\n".join(f"k{i}: 1" for i in range(200)))) == MAX_PROBLEMS


def test_an_empty_file_is_all_defaults() -> None:
    """Nothing need be said."""
    for text in ("", "# only a comment\n", "---\n", "{}"):
        settings = settings_of(text)
        assert (settings.host, settings.port, settings.servers) == ("127.0.0.1", 8080, ())


@pytest.mark.parametrize("version", ["1", "1.0", '"1"', '"1.0"'])
def test_the_version_may_be_written_as_number_or_text(version: str) -> None:
    """YAML makes a number of an unquoted one."""
    assert problems_of(f"version: {version}") == []


def test_a_file_that_cannot_be_read_is_a_problem_too(tmp_path: Path) -> None:
    """Missing, not UTF-8, or no regular file: that is not waited for, and has an end."""
    wrong = tmp_path / "c.yaml"
    wrong.write_bytes(b"proxy: {host: '\xff'}")
    os.mkfifo(tmp_path / "pipe.yaml")  # nobody will ever write to it
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "long.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    for name, why in (
        ("missing.yaml", "No such file"), ("", "Is a directory"), ("pipe.yaml", "it is a pipe"),
        ("zero.yaml", "it is a device"), ("long.yaml", "it is longer than 4 MiB"),
    ):  # fmt: skip
        path = tmp_path / name
        with pytest.raises(ConfigInvalid, match=rf"cannot be read: {why}.*check the path"):
            load(path, {})
    with pytest.raises(ConfigInvalid, match=r"not text in UTF-8, from byte 15 on\. save it as"):
        load(wrong, {})


def test_aliases_of_aliases_are_not_written_out_for_ever() -> None:
    """Nine of nine of nine, nine times over, are more than any machine holds."""
    levels = [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    (problem,) = problems_of("\n".join(["a0: &a0 x", *levels]))
    assert "holds more than 100000 values" in problem


def test_a_file_is_loaded_and_remembered_as_the_source(tmp_path: Path) -> None:
    """`only1mcp status` tells where the configuration came from."""
    path = tmp_path / "c.yaml"
    path.write_text("proxy: {port: 9}\n")
    settings = load(path, {})
    assert (settings.port, settings.source) == (9, str(path))


def test_what_contradicts_is_told_beside_what_is_wrong() -> None:
    """As far as it does not follow from that."""
    text = """proxy: {timeout: 30, host: 0.0.0.0}
servers:
  - {id: a, url: "http://127.0.0.1:1/mcp", timeout: soon}
  - {id: a, command: node, args: ["${NOPE}"]}
  - {id: b, command: node, url: "http://127.0.0.1:1/mcp"}
  - {id: c, comand: node}
  - {id: d, command: rm, wrong: 1}
"""
    with pytest.raises(ConfigInvalid) as caught:
        load_text("c.yaml", text, {})
    told = [(one.path, one.what) for one in caught.value.problems]
    duration = "a duration needs a number and a unit, as 500ms, 30s, 5m or 1h"
    assert told == [
        ("servers[1].args[0]", "${NOPE} is not set"),
        ("proxy.timeout", duration),
        ("servers[0].timeout", duration),
        ("servers[3].comand", "unknown key"),
        ("servers[4].wrong", "unknown key"),
        ("servers[1].id", "id 'a' is taken by servers[0]"),
        ("servers[2]", "command and url exclude each other"),
        ("servers[4].command", "'rm' is not an allowed command"),
        ("proxy.host", "0.0.0.0 is reachable from other machines"),
    ]
