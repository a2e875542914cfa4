"""Changes of a file's text: what is asked for, and not a byte more."""

import difflib
import tomllib
from typing import Any

import pytest
import yaml

from only1mcp.config.edit import add_server, remove_server, set_workers, switch_server
from only1mcp.config.refusals import DuplicateServer, EditRefused, UnknownServer

YAML = """\
# The gateway of the office.
version: "1.0"

proxy:
  port: 9000   # as in the firewall
servers:
  # Files first.
  - id: files      # read only
    command: npx
    args: ["-y", "server-files"]

  # Search next.
  - id: search
    url: 'http://127.0.0.1:9000/mcp'
    enabled: true
    headers:
      X-Key: >-
        very long

log:
  level: info
# The end.
"""
INLINE = (
    'servers: [{id: files, command: npx}, {"id": search, url: "http://a/", enabled: false}] # all\n'
)
JSON = """{
  "servers": [
    {"id": "files", "command": "npx"},
    {
      "id": "search",
      "url": "http://a/"
    }
  ]
}
"""
TOML = """\
# Ours.
[proxy]
port = 9000

[[servers]]  # the first
id = "files"
command = "npx"

[servers.env]
A = "1"

[[servers]]
id = "search"
url = "http://a/"   # near
enabled = true
"""
FILES = {"c.yaml": YAML, "i.yaml": INLINE, "c.json": JSON, "c.toml": TOML}
ENTRY = {"id": "new", "command": "npx", "args": ["-y", "größer: #1"], "env": {"K": "a=b"}}
by_form = pytest.mark.parametrize("file", FILES)


def _data(file: str, text: str) -> dict[str, Any]:
    data = tomllib.loads(text) if file.endswith(".toml") else yaml.safe_load(text)
    assert isinstance(data, dict)
    return data


def _changed_lines(before: str, after: str) -> list[str]:
    """Return the lines that were taken away or put in."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


@by_form
def test_an_added_server_stands_last_and_no_other_line_changes(file: str) -> None:
    """In the way in which the others are written."""
    after = add_server(file, FILES[file], ENTRY)
    servers = _data(file, after)["servers"]
    assert [server["id"] for server in servers] == ["files", "search", "new"]
    assert servers[-1] == ENTRY
    if file != "i.yaml":
        taken = [line for line in _changed_lines(FILES[file], after) if line[0] == "-"]
        assert taken in ([], ["-     }"])


@by_form
@pytest.mark.parametrize("name", ["files", "search"])
def test_a_removed_server_leaves_the_others_as_they_were(file: str, name: str) -> None:
    """Both leave a list that is empty."""
    after = remove_server(file, FILES[file], name)
    other = {"files": "search", "search": "files"}[name]
    assert [server["id"] for server in _data(file, after)["servers"]] == [other]
    assert not [line for line in _changed_lines(FILES[file], after) if "# " in line[2:]][2:]
    empty = remove_server(file, after, other)
    assert not _data(file, empty).get("servers")
    again = add_server(file, empty, ENTRY)
    assert _data(file, again)["servers"] == [ENTRY]


@by_form
@pytest.mark.parametrize("name", ["files", "search"])
def test_a_switched_server_differs_in_one_word(file: str, name: str) -> None:
    """Whether the key was there or not; what is so already stays so, byte for byte."""
    text = FILES[file]
    off = switch_server(file, text, name, enabled=False)
    assert {one["id"]: one.get("enabled", True) for one in _data(file, off)["servers"]}[
        name
    ] is False
    assert switch_server(file, off, name, enabled=False) == off
    on = switch_server(file, off, name, enabled=True)
    assert {one["id"]: one.get("enabled", True) for one in _data(file, on)["servers"]}[name] is True
    assert len(_changed_lines(off, on)) <= 2
    assert on.count("#") == text.count("#")


SIZED = {
    "c.yaml": YAML, "i.yaml": "proxy: {port: 9000}  # ours\nlog: {level: info}\n",
    "e.yaml": "proxy: {}  # nothing\n", "n.yaml": "proxy:  # nothing\nlog: {level: info}\n",
    "w.yaml": "proxy:\n  workers: 'auto'  # as many as there are cores\n  port: 1\n",
    "o.yaml": "log:\n  level: info  # the last\n", "z.yaml": "",
    "c.json": JSON, "w.json": '{"proxy": {"port": 1, "workers": 2}}', "e.json": "{}",
    "p.json": '{\n  "proxy": {\n    "port": 1\n  }\n}\n',
    "c.toml": TOML, "w.toml": '[proxy]\nworkers = "auto"  # cores\n[proxy.limits]\nmax_calls = 7\n',
    "l.toml": "[proxy.limits]\nmax_calls = 7", "h.toml": "[proxy]", "z.toml": "",
}  # fmt: skip


@pytest.mark.parametrize("file", SIZED)
def test_the_number_of_workers_is_set_wherever_it_belongs(file: str) -> None:
    """Nothing else is said otherwise, and no comment is lost; what is so already stays so."""
    text = SIZED[file]
    before = _data(file, text) if text else {}
    for number in (3, "auto", 12):
        text = set_workers(file, text, number)
        wanted = {**before, "proxy": {**(before.get("proxy") or {}), "workers": number}}
        assert _data(file, text) == wanted
        assert set_workers(file, text, number) == text
    assert text.count("#") == SIZED[file].count("#")
    assert sum(line[0] == "-" for line in _changed_lines(SIZED[file], text)) <= 1


@pytest.mark.parametrize(
    ("file", "text"),
    [("c.yaml", "a: &x {port: 1}\nproxy: *x\n"), ("c.yaml", "proxy: [1]\n"),
     ("c.toml", "proxy = {port = 1}\n"), ("c.toml", "proxy.port = 1\n")],
)  # fmt: skip
def test_workers_of_a_file_that_is_written_too_cleverly_are_left_alone(
    file: str, text: str
) -> None:
    """As servers are."""
    with pytest.raises(EditRefused):
        set_workers(file, text, 3)


def test_every_comment_of_the_rest_is_kept() -> None:
    """With all spaces and quotes."""
    after = switch_server("c.yaml", YAML, "files", enabled=False)
    assert _changed_lines(YAML, after) == ["+     enabled: false"]
    after = remove_server("c.yaml", YAML, "search")
    assert [line[0] for line in _changed_lines(YAML, after)] == ["-"] * 6
    assert "# Search next." in after


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "version: 1", "servers:\n", "servers: []  # none\nversion: 1\n",
     "version: 1\nservers:  # none yet\nlog: {level: info}\n", "{}", '{"version": "1"}'],
)  # fmt: skip
def test_the_first_server_finds_a_place_in_any_file(text: str) -> None:
    """Also in one without `servers`."""
    after = add_server("c.yaml", text, ENTRY)
    assert _data("c.yaml", after)["servers"] == [ENTRY]
    assert after.count("#") == text.count("#") + 1


def test_a_client_s_own_map_is_changed_as_it_is_written() -> None:
    """`disabled`, where the client says it so; names as they are or as ids."""
    text = '{"mcpServers": {"My Files": {"command": "npx", "disabled": true}, "b": {"url": "http://b/"}}}'
    on = switch_server("c.json", text, "My Files", enabled=True)
    assert _data("c.json", on)["mcpServers"]["My Files"]["disabled"] is False
    off = switch_server("c.json", text, "b", enabled=False)
    assert _data("c.json", off)["mcpServers"]["b"]["enabled"] is False
    gone = remove_server("c.json", text, "b")
    assert list(_data("c.json", gone)["mcpServers"]) == ["My Files"]
    block = "mcpServers:\n  a:  # first\n    command: npx\n  b:\n    url: http://b/\n"
    assert remove_server("c.yaml", block, "a") == "mcpServers:\n  b:\n    url: http://b/\n"


@by_form
def test_what_is_not_there_or_there_already_is_refused(file: str) -> None:
    """By name, with what to do."""
    with pytest.raises(UnknownServer, match="no server 'x'"):
        remove_server(file, FILES[file], "x")
    with pytest.raises(UnknownServer):
        switch_server(file, FILES[file], "x", enabled=True)
    with pytest.raises(DuplicateServer, match="'files' is there already"):
        add_server(file, FILES[file], {**ENTRY, "id": "files"})


@pytest.mark.parametrize(
    ("file", "text"),
    [("c.yaml", "a: &x {id: files, command: npx}\nservers: [*x]\n"),
     ("c.yaml", "servers:\n- &a {id: files, url: 'http://a/'}\n- {<<: *a, id: b}\n"),
     ("c.toml", 'servers = [{id = "files", command = "npx"}]\n'), ("c.yaml", "[1, 2]")],
)  # fmt: skip
def test_what_is_written_too_cleverly_is_left_alone(file: str, text: str) -> None:
    """Better no change than another one than was asked for."""
    with pytest.raises(EditRefused):
        remove_server(file, text, "files")


def test_line_ends_of_windows_are_kept() -> None:
    """All that were there."""
    text = YAML.replace("\n", "\r\n")
    after = switch_server("c.yaml", text, "files", enabled=False)
    assert after.replace("    enabled: false\n", "", 1) == text
