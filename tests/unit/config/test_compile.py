"""What only the whole configuration can show, and what the processes are given in the end."""

import os
import sys
from pathlib import Path

import pytest

from only1mcp.config.compile import MAX_AUTO_WORKERS, is_loopback, worker_count
from only1mcp.registry.server import Batching, Instance
from tests.support.configuration import problems_of, settings_of

STDIO = "servers:\n- id: a\n  command: python3\n"
HTTP = "servers:\n- id: a\n  url: http://h:1/mcp\n"

PROBLEMS = [
    ("servers:\n- {id: a}", "c.yaml:2:3: servers[0]: command or url is missing. give command for "
     "a program, url for an HTTP server"),
    (STDIO + "  url: http://h/", "c.yaml:2:3: servers[0]: command and url exclude each other. "
     "give command for a program, url for an HTTP server"),
    (STDIO + "  instances: [{url: 'http://h/'}]", "c.yaml:2:3: servers[0]: command and url "
     "exclude each other. give command for a program, url for an HTTP server"),
    (HTTP + "  instances: [{url: 'http://h/'}]", "c.yaml:4:14: servers[0].instances: url and "
     "instances exclude each other"),
    ("servers:\n- id: a\n  instances: [{url: 'http://h/'}, {url: 'http://h/'}]",
     "c.yaml:3:14: servers[0].instances: an address stands twice. use weight instead"),
    (STDIO + "  transport: http", "c.yaml:4:14: servers[0].transport: does not go with command. "
     "leave it out or write stdio"),
    (HTTP + "  transport: stdio", "c.yaml:4:14: servers[0].transport: does not go with url. "
     "leave it out or write http or sse"),
    ("servers:\n- id: a\n  url: ws://h/\n  transport: http", "c.yaml:4:14: servers[0].transport: "
     "does not go with url. leave it out or write websocket"),
    ("servers:\n- id: a\n  transport: sse\n  instances: [{url: 'http://h/'}]", "c.yaml:4:14: "
     "servers[0].instances: only http has instances. give one url"),
    ("servers:\n- id: a\n  command: rm", "c.yaml:3:12: servers[0].command: 'rm' is not an allowed "
     "command. add it to stdio.allowed_commands"),
    ("servers:\n- id: a\n  command: /bin/sh", "c.yaml:3:12: servers[0].command: '/bin/sh' is not "
     "an allowed command. add it to stdio.allowed_commands"),
    ("servers:\n- id: a\n  command: ./python3", "c.yaml:3:12: servers[0].command: './python3' is "
     "not an allowed command. add it to stdio.allowed_commands"),
    ("servers:\n- id: a\n  command: python3 -m x", "c.yaml:3:12: servers[0].command: 'python3 -m "
     "x' is not an allowed command. add it to stdio.allowed_commands"),
    (STDIO + "  cwd: /no/such", "c.yaml:4:8: servers[0].cwd: /no/such is not a directory"),
    (STDIO + "- id: a\n  command: node", "c.yaml:4:7: servers[1].id: id 'a' is taken by "
     "servers[0]. give each server an id of its own"),
    (STDIO + "mcpServers:\n  a: {command: node}", "c.yaml:5:6: mcpServers.a.id: id 'a' is taken "
     "by servers[0]. give each server an id of its own"),
    ("mcpServers:\n  My Server: {command: node}\n  My/Server: {command: node}", "c.yaml:3:14: "
     "mcpServers.My/Server.id: id 'My_Server' is taken by mcpServers.My Server. give each server "
     "an id of its own"),
    ("mcpServers:\n  '!!': {command: node}", "c.yaml:2:3: mcpServers.!!: the name has no letter "
     "or digit. rename the server"),
    ("mcpServers:\n  x: {type: pigeon, url: 'http://h/'}", "c.yaml:2:13: mcpServers.x.type: "
     "transport 'pigeon' is not known. use stdio, http, sse or websocket"),
    ("mcpServers:\n  x: {}", "c.yaml:2:3: mcpServers.x: command or url is missing. give command "
     "for a program, url for an HTTP server"),
    (HTTP + "  auth: {type: bearer, token_env: NOPE}", "c.yaml:4:9: servers[0].auth: ${NOPE} is "
     "not set. set it before the start: export NOPE=..."),
    (HTTP + "  auth: {type: bearer}", "c.yaml:4:9: servers[0].auth: token or token_env is "
     "missing"),
    ("servers:\n- id: a\n  url: http://u:p@h/\n  auth: {token: t}", "c.yaml:3:8: servers[0].url: "
     "holds credentials, and so do the headers or auth. keep one of them: a request has room for "
     "one"),
    ("servers:\n- id: a\n  instances: [{url: 'http://h/'}, {url: 'http://u@h:1/'}]\n"
     "  headers: {authorization: t}", "c.yaml:3:41: servers[0].instances[1].url: holds "
     "credentials, and so do the headers or auth. keep one of them: a request has room for one"),
    (STDIO + "  headers:\n    X: y", "c.yaml:4:3: servers[0].headers: does not go with command. "
     "give a program what it needs in env"),
    (STDIO + "  batching: {}", "c.yaml:4:3: servers[0].batching: does not go with command. give a "
     "program what it needs in env"),
    ("servers:\n- id: a\n  url: ws://h/\n  batching: {}", "c.yaml:4:3: servers[0].batching: only "
     "http has batches"),
    (HTTP + "  transport: sse\n  batching: {}", "c.yaml:5:3: servers[0].batching: only http has "
     "batches"),
    (HTTP + "  timeout: 2s\n  batching: {window: 2s}", "c.yaml:5:13: servers[0].batching: window "
     "is not shorter than the timeout (2s). it adds to the time of a call: 100ms is long"),
    (STDIO + "  auth: {token: t}", "c.yaml:4:3: servers[0].auth: does not go with command. give a "
     "program what it needs in env"),
    (HTTP + "  args: [x]", "c.yaml:4:3: servers[0].args: does not go with url. it is for a "
     "program, which command names"),
    (HTTP + "  env: {A: b}", "c.yaml:4:3: servers[0].env: does not go with url. it is for a "
     "program, which command names"),
    (HTTP + "  replicas: 2", "c.yaml:4:3: servers[0].replicas: does not go with url. it is for a "
     "program, which command names"),
    (HTTP + "  cwd: /", "c.yaml:4:3: servers[0].cwd: does not go with url. it is for a program, "
     "which command names"),
    ("servers:\n- id: a\n  url: http://[::1/", "c.yaml:3:8: servers[0].url: is no address: Invalid "
     "IPv6 URL"),
    ("servers:\n- id: a\n  url: http://h:70000/", "c.yaml:3:8: servers[0].url: is no address: Port "
     "out of range 0-65535"),
    (HTTP + '  headers: {X: "a\\r\\nY: b"}', "c.yaml:4:16: servers[0].headers.X: holds a line "
     "end"),
    (HTTP + '  headers: {"X\\n": a}', "c.yaml:4:20: servers[0].headers.X\n: holds a line end"),
    (HTTP + "  headers: {A B: x}", "c.yaml:4:18: servers[0].headers.A B: is no name of a header. "
     "use letters, digits and '-'"),
    (HTTP + "  headers: {Caf\xe9: x}", "c.yaml:4:19: servers[0].headers.Caf\xe9: is no name of a "
     "header. use letters, digits and '-'"),
    (HTTP + '  headers: {X: "a\\x01b"}', "c.yaml:4:16: servers[0].headers.X: holds a control "
     "character"),
    (HTTP + "  headers: {Content-length: 5}", "c.yaml:4:29: servers[0].headers.Content-length: "
     "input should be a valid string. put it in quotes"),
    (HTTP + "  headers: {Content-length: '5'}", "c.yaml:4:29: servers[0].headers.Content-length: "
     "is written by the gateway itself. leave it out"),
    ("servers:\n- id: a\n  url: http://a..b/", "c.yaml:3:8: servers[0].url: is no address: a part "
     "of the host is empty or too long"),
    ("servers:\n- id: a\n  url: http://:80/", "c.yaml:3:8: servers[0].url: is no address: there "
     "is no host"),
    (STDIO + '  args: [x, "a\\0"]', "c.yaml:4:13: servers[0].args[1]: holds a NUL character"),
    (STDIO + '  env: {A: "a\\0"}', "c.yaml:4:12: servers[0].env.A: holds a NUL character"),
    (STDIO + '  env: {"": x}', "c.yaml:4:13: servers[0].env.: is no name of a variable"),
    (STDIO + '  env: {A=B: x}', "c.yaml:4:14: servers[0].env.A=B: is no name of a variable"),
]  # fmt: skip


def test_a_client_s_own_map_may_say_more_than_is_needed() -> None:
    """It works elsewhere as it is; and an empty key says nothing anywhere."""
    both = "args: [x], env: {A: b}, headers: {X: y}"
    text = f"mcpServers:\n  a: {{command: python3, {both}}}\n  b: {{url: 'http://h/', {both}}}\n"
    assert [server.transport for server in settings_of(text).servers] == ["stdio", "http"]
    empty = "  args: []\n  env: {}\n  headers: {}\n"
    for start in (STDIO, HTTP):
        assert settings_of(start + empty).servers


@pytest.mark.parametrize(("text", "problem"), PROBLEMS, ids=[str(i) for i in range(len(PROBLEMS))])
def test_parts_that_contradict_each_other_are_a_problem(text: str, problem: str) -> None:
    """Each with its place and a way out."""
    assert problems_of(text) == [problem]


def test_what_can_be_passed_on_is() -> None:
    """Tabs and any script in headers, international names and addresses as hosts."""
    text = HTTP + '  headers: {X-A_1: "caf\u00e9\\t\u2603", Host: h}\n'
    for url in ("http://xn--bcher-kva.example/", "http://b\u00fccher.example/", "http://[::1]:1/"):
        assert settings_of(text.replace("http://h:1/mcp", url)).servers[0].headers
    assert settings_of(STDIO + '  args: [""]\n  env: {a-b: ""}\n').servers


def test_a_contradiction_in_an_override_is_blamed_on_the_variable() -> None:
    """The file says something else."""
    text = "proxy:\n  host: 127.0.0.1\n"
    for name in ("ONLY1MCP_HOST", "ONLY1MCP_PROXY__HOST"):
        assert problems_of(text, environment={name: "0.0.0.0"}) == [
            f"{name}: proxy.host: 0.0.0.0 is reachable from other machines. "
            "set auth.keys, listen on 127.0.0.1, or set proxy.allow_unauthenticated: true"
        ]


def test_a_token_that_is_no_text_is_a_problem() -> None:
    """Bytes that are not UTF-8 cannot stand in a header."""
    text = HTTP + "  auth: {token_env: T}"
    assert problems_of(text, environment={"T": "\udcff"}) == [
        "c.yaml:4:9: servers[0].auth: ${T} is not text in UTF-8. set T"
    ]


def test_contradictions_of_all_servers_are_reported_together() -> None:
    """Besides an exposed gateway."""
    text = "proxy: {host: 0.0.0.0}\nservers:\n- {id: a}\n- {id: b, command: rm}\n- {id: b}\n"
    assert [problem.split(":")[1] for problem in problems_of(text)] == ["3", "4", "5", "5", "1"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_permission(host: str) -> None:
    """Only this machine can call."""
    assert is_loopback(host)
    assert settings_of(f"proxy: {{host: '{host}'}}").host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "localhost.evil"])
def test_other_hosts_are_refused_unless_allowed_in_so_many_words(host: str) -> None:
    """Nobody has to authenticate, so nobody from elsewhere may come."""
    assert problems_of(f"proxy:\n  host: '{host}'") == [
        f"c.yaml:2:9: proxy.host: {host} is reachable from other machines. "
        "set auth.keys, listen on 127.0.0.1, or set proxy.allow_unauthenticated: true"
    ]
    allowed = f"proxy: {{host: '{host}', allow_unauthenticated: true}}"
    assert settings_of(allowed).host == host


def test_an_allowed_command_may_be_given_by_name_or_where_the_path_finds_it(tmp_path: Path) -> None:
    """A full path counts only if the search path leads to the very same file."""
    program = tmp_path / "mytool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    other = tmp_path / "other" / "mytool"
    other.parent.mkdir()
    other.write_bytes(program.read_bytes())
    other.chmod(0o755)
    environment = {"PATH": str(tmp_path)}
    text = "stdio: {{allowed_commands: [{0}]}}\nservers: [{{id: a, command: {1}}}]"
    for allowed, command in (("mytool", "mytool"), ("mytool", program), (program, program)):
        assert problems_of(text.format(allowed, command), environment=environment) == []
    for allowed, command in (("mytool", other), (program, other), (program, "mytool")):
        assert problems_of(text.format(allowed, command), environment=environment)


def test_a_command_under_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is no shell that would do it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    text = (
        f"stdio: {{allowed_commands: [{tmp_path}/tool]}}\n"
        "servers:\n- id: a\n  command: ~/tool\n  args: ['~/x', 'a~/b', '~']\n  cwd: '~'\n"
    )
    (server,) = settings_of(text).servers
    assert server.command == f"{tmp_path}/tool"
    assert server.args == (f"{tmp_path}/x", "a~/b", "~")
    assert server.cwd == str(tmp_path)


def test_a_stdio_server_is_compiled_with_all_it_says() -> None:
    """And with the gateway's defaults for what it leaves out."""
    text = """\
proxy: {timeout: 7s, handshake_timeout: 2s, health: {check_interval: 9s}}
servers:
- id: a
  command: python3
  args: ["-m", x, "; rm -rf /", "$(id)"]
  env: {TOKEN: t, A: ""}
  health_check: {interval: 3s}
"""
    (server,) = settings_of(text).servers
    assert (server.id, server.transport, server.prefix) == ("a", "stdio", "a")
    assert server.args == ("-m", "x", "; rm -rf /", "$(id)")
    assert server.env == (("TOKEN", "t"), ("A", ""))
    assert (server.timeout_s, server.handshake_timeout_s, server.check_interval_s) == (7, 2, 3)


def test_an_http_server_is_compiled_with_instances_headers_and_token() -> None:
    """The token from the environment becomes a header."""
    text = """\
proxy: {routing: {algorithm: consistent_hash}}
servers:
- id: a
  instances: [{url: 'http://h:1/mcp', weight: 2}, {url: 'http://h:2/mcp'}]
  auth: {type: bearer, token_env: T}
  headers: {X-A: b}
  prefix: none
  timeout: 1s
- {id: b, url: 'http://h:3/', prefix: other, routing: {algorithm: round_robin}}
"""
    first, second = settings_of(text, environment={"T": "s3"}).servers
    assert first.instances == (Instance("http://h:1/mcp", 2), Instance("http://h:2/mcp"))
    assert dict(first.headers) == {"X-A": "b", "Authorization": "Bearer s3"}
    assert (first.transport, first.prefix, first.routing.algorithm) == (
        "http",
        "",
        "consistent_hash",
    )
    assert (second.prefix, second.routing.algorithm, second.timeout_s) == (
        "other",
        "round_robin",
        30.0,
    )


def test_batching_is_off_unless_it_is_asked_for() -> None:
    """An empty section asks for it as it comes."""
    text = """\
servers:
- {id: a, url: 'http://h:1/'}
- {id: b, url: 'http://h:2/', batching: {}}
- {id: c, url: 'http://h:3/', batching: {window: 5ms, max: 2, any_revision: true}}
"""
    found = [server.batching for server in settings_of(text).servers]
    assert found == [None, Batching(0.1, 100), Batching(0.005, 2, any_revision=True)]


def test_disabled_servers_are_neither_served_nor_judged() -> None:
    """A person parks them with all their mistakes."""
    text = """\
servers: [{id: a, command: rm, enabled: false}, {id: a, command: python3}]
mcpServers:
  b: {command: rm, disabled: true}
  c: {command: rm, enabled: false}
"""
    assert [server.id for server in settings_of(text).servers] == ["a"]


CLIENT_FILES = {
    "claude_desktop_config.json": """\
{
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv"],
      "env": {"LOG": "1"}
    }
  }
}""",
    "mcp.json": """\
{
\t// as Cursor writes it
\t"mcpServers": {
\t\t"filesystem": {"type": "stdio", "command": "npx", "envFile": "${workspaceFolder}/.env",
\t\t\t"args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv"], "env": {"LOG": "1"}},
\t\t"search": {"url": "http://localhost:9/mcp", "headers": {"X-Key": "k"}},
\t},
}""",
    "settings.json": """\
{
  "mcpServers": {
    "filesystem": {
      "command": "npx", "timeout": 5000, "trust": false, "includeTools": ["read"],
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv"], "env": {"LOG": "1"}
    },
    "search": {"httpUrl": "http://localhost:9/mcp", "headers": {"X-Key": "k"}, "timeout": 5000}
  }
}""",
    "windsurf.json": """\
{"mcpServers": {
  "filesystem": {"command": "npx", "disabled": false, "autoApprove": [], "env": {"LOG": "1"},
    "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv"]},
  "search": {"serverUrl": "http://localhost:9/mcp", "transportType": "streamableHttp",
    "headers": {"X-Key": "k"}}
}}""",
}


@pytest.mark.parametrize("file", CLIENT_FILES)
def test_a_client_s_own_file_is_taken_as_it_is(file: str) -> None:
    """Claude Desktop, Cursor, Gemini and Windsurf each have keys of their own."""
    environment = {"workspaceFolder": "/w"}
    servers = settings_of(CLIENT_FILES[file], file, environment).servers
    assert servers[0].id == "filesystem"
    assert (servers[0].command, servers[0].args[0]) == ("npx", "-y")
    assert servers[0].env == (("LOG", "1"),)
    for server in servers[1:]:
        assert server.instances == (Instance("http://localhost:9/mcp"),)
        assert server.headers == (("X-Key", "k"),)


def test_a_display_name_of_a_client_becomes_an_id() -> None:
    """Tools need a prefix that models accept."""
    text = "mcpServers:\n  My Files (work): {command: python3}\n"
    assert settings_of(text).servers[0].id == "My_Files_work"


def test_servers_of_both_kinds_keep_their_order() -> None:
    """Our own first, then the client's."""
    text = "mcpServers: {x: {command: node}, b: {command: node}}\n" + STDIO
    assert [server.id for server in settings_of(text).servers] == ["a", "x", "b"]


def test_auto_is_one_worker_for_each_core_and_four_at_most() -> None:
    """As many as this process may use."""
    assert worker_count("auto") == min(len(os.sched_getaffinity(0)), MAX_AUTO_WORKERS)
    assert worker_count(7) == 7


def test_the_interpreter_we_run_on_is_no_allowed_command_by_its_path_alone() -> None:
    """Only what the search path of the environment leads to."""
    text = f"servers: [{{id: a, command: {sys.executable}}}]"
    assert problems_of(text, environment={"PATH": "/nonexistent"})


@pytest.mark.parametrize("opened", [(), ("websocket",), ("sse",), ("sse", "websocket")])
def test_further_ways_in_are_closed_unless_they_are_opened(opened: tuple[str, ...]) -> None:
    """Each by itself."""
    listen = ", ".join(f"{way}: true" for way in opened)
    settings = settings_of(f"proxy: {{listen: {{{listen}}}}}\n" + HTTP)
    assert (settings.websocket, settings.sse) == ("websocket" in opened, "sse" in opened)


def test_a_program_may_run_as_several_processes() -> None:
    """They are known by their numbers; one of its own is what everybody else gets."""
    assert [place.url for place in settings_of(STDIO).servers[0].places] == ["1"]
    (server,) = settings_of(STDIO + "  replicas: 3").servers
    assert [place.url for place in server.places] == ["1", "2", "3"]
    assert server.is_shared_out
