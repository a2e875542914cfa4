"""The three forms of a file, and the place of every key and value in each."""

import pytest

from only1mcp.config.positions import Document, Path, dotted, read
from only1mcp.config.problems import NOWHERE, Place
from tests.support.configuration import problems_of, settings_of

YAML = """\
# a comment
proxy:
  port: 1   # another
  limits: {max_body: 2, "max_header": 3}
servers:
  - id: a
    args: ["x", y]
  - {id: b}
"""
TOML = """\
# a comment
[proxy]
port = 1   # another
limits.max_body = 2
"limits" . "max_header" = 3

[[servers]]
id = "a"
args = ["x", "y"]
[[servers]]
  id = "b"
[servers.health_check]
interval = "1s"
"""
JSON = """\
{
\t// a comment
\t"proxy": {"port": 1, /* more
\t\tof it */ "limits": {"max_body": 2, "max_header": 3,},},
\t"servers": [
\t\t{"id": "a", "args": ["x", "y"]},
\t\t{"id": "b"},
\t]
}
"""
DATA = {
    "proxy": {"port": 1, "limits": {"max_body": 2, "max_header": 3}},
    "servers": [{"id": "a", "args": ["x", "y"]}, {"id": "b"}],
}


def places(document: Document, path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where the key and where the value stand."""
    key, value = document.place(path, key=True), document.place(path, key=False)
    return (key.line, key.column), (value.line, value.column)


def test_yaml_gives_data_and_places() -> None:
    """Lines and columns count from 1."""
    document = read("c.yaml", YAML)
    assert document.data == DATA
    assert places(document, ("proxy", "port")) == ((3, 3), (3, 9))
    assert places(document, ("proxy", "limits", "max_header")) == ((4, 25), (4, 39))
    assert places(document, ("servers", 0, "args", 1)) == ((7, 17), (7, 17))
    assert places(document, ("servers", 1, "id")) == ((8, 6), (8, 10))


def test_toml_gives_data_and_places() -> None:
    """Tables, dotted keys, quoted keys and arrays of tables."""
    document = read("c.toml", TOML)
    assert document.data["proxy"] == DATA["proxy"]
    assert document.data["servers"][1] == {"id": "b", "health_check": {"interval": "1s"}}
    assert places(document, ("proxy", "port")) == ((3, 1), (3, 8))
    assert places(document, ("proxy", "limits", "max_header")) == ((5, 1), (5, 27))
    assert places(document, ("servers", 0, "id")) == ((8, 1), (8, 6))
    assert places(document, ("servers", 0, "args", 1)) == ((9, 1), (9, 8))
    assert places(document, ("servers", 1, "id")) == ((11, 3), (11, 8))
    assert places(document, ("servers", 1, "health_check", "interval")) == ((13, 1), (13, 12))


def test_json_with_tabs_comments_and_trailing_commas_gives_data_and_places() -> None:
    """As editors write their own settings; a tab is one column."""
    document = read("c.json", JSON)
    assert document.data == DATA
    assert places(document, ("proxy", "port")) == ((3, 12), (3, 20))
    assert places(document, ("proxy", "limits", "max_body")) == ((4, 23), (4, 35))
    assert places(document, ("servers", 1, "id")) == ((7, 4), (7, 10))


@pytest.mark.parametrize("file", ["c.jsonc", "c.json"])
def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(file: str) -> None:
    """Windows editors leave both."""
    text = '\ufeff{\r\n  "proxy": {"prot": 1}\r\n}'
    assert problems_of(text, file) == [
        f'{file}:2:13: proxy.prot: unknown key. Did you mean "port"?'
    ]


def test_what_has_no_place_stands_at_what_is_around_it() -> None:
    """A missing key is reported where it is missing."""
    document = read("c.yaml", YAML)
    assert document.place(("servers", 1, "url", "x"), key=False) == Place(8, 5)
    assert document.place(("nowhere",), key=True) == NOWHERE


def test_toml_keys_inside_strings_are_no_keys() -> None:
    """A multi-line string may look like a file of its own."""
    text = 'a = """\n[proxy]\nport = 1\n"""\n[proxy]\nprot = 1\n'
    assert sorted(problems_of(text, "c.toml")) == [
        "c.toml:1:1: a: unknown key. known here: auth, log, mcpServers, proxy, servers, stdio, "
        "version",
        'c.toml:6:1: proxy.prot: unknown key. Did you mean "port"?',
    ]


SYNTAX = [
    # file, text, the start of the one problem
    ("c.yaml", "proxy:\n\tport: 1\n", "c.yaml:2:1: not valid YAML: "),
    ("c.yaml", "proxy: [\n", "c.yaml:2:1: not valid YAML: "),
    ("c.yaml", "a: 'open\n", "c.yaml:2:1: not valid YAML: "),
    ("c.yaml", "a: *x\n", "c.yaml:1:4: not valid YAML: found undefined alias"),
    ("c.yaml", "a: !!python/object:os.system x\n", "c.yaml:1:4: not valid YAML: "),
    ("c.yaml", "a: 1\n---\nb: 2\n", "c.yaml:2:1: not valid YAML: "),
    ("c.yaml", "a: \x00\n", "c.yaml"),
    ("c.toml", "a = \n", "c.toml:1:5: not valid TOML: Invalid value"),
    ("c.toml", "a = 1\na = 2\n", "c.toml:2:6: not valid TOML: Cannot overwrite a value"),
    ("c.toml", "[a]\n[a]\n", "c.toml:2:3: not valid TOML: Cannot declare"),
    ("c.toml", "a = [1,", "c.toml:1:"),
    ("c.toml", "a = 1\nb", "c.toml:2:"),
    ("c.json", f'{{"a": {"1" * 5000}}}', "c.json:1:5007: not valid JSON: a number is too long"),
    ("c.json", "", "c.json:1:1: not valid JSON: a value is expected"),
    ("c.json", "{", "c.json:1:2: not valid JSON: a key in double quotes is expected"),
    ("c.json", "{'a': 1}", "c.json:1:2: not valid JSON: a key in double quotes is expected"),
    ("c.json", '{"a" 1}', "c.json:1:6: not valid JSON: ':' is expected"),
    ("c.json", '{"a": 1\n "b": 2}', "c.json:2:2: not valid JSON: ',' or '}' is expected"),
    ("c.json", '{"a": [1 2]}', "c.json:1:10: not valid JSON: ',' or ']' is expected"),
    ("c.json", '{"a": nul}', "c.json:1:7: not valid JSON: a value is expected"),
    ("c.json", '{"a": "x\ty"}', "c.json:1:9: not valid JSON: invalid control character"),
    ("c.json", '{"a": "\\x"}', "c.json:1:8: not valid JSON: invalid \\escape"),
    ("c.json", '{"a": "open', "c.json:1:7: not valid JSON: unterminated string"),
    ("c.json", "{} {}", "c.json:1:4: not valid JSON: something follows the value"),
    ("c.json", "{/* open", "c.json:1:2: not valid JSON: "),
    ("c.yaml", "a: 2001-99-99", "c.yaml:1:4: not valid YAML: month must be in 1..12"),
    ("c.yaml", f"a: {'9' * 5000}", "c.yaml:1:4: not valid YAML: Exceeds the limit"),
]


@pytest.mark.parametrize(("file", "text", "expected"), SYNTAX)
def test_wrong_syntax_is_one_problem_at_its_place(file: str, text: str, expected: str) -> None:
    """Whatever the form; the rest of the file cannot be judged."""
    (problem,) = problems_of(text, file)
    assert problem.startswith(expected)


DEEP = 100_000


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("c.yaml", "version: " + "[" * DEEP, ":1:108"),
        ("c.yaml", "{a: " * DEEP, ":1:397"),
        ("c.yaml", "- " * DEEP, ":1:199"),
        ("c.yaml", "? " * DEEP, ":1:199"),
        ("c.yaml", "\n".join(["a0: &a0 x", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200))]),
         ":1:5"),
        ("c.json", "[" * DEEP, ":1:102"),
        ("c.json", '{"a":' * DEEP, ":1:506"),
        ("c.toml", "a = 1\nx = " + "[" * DEEP, ""),
        ("c.toml", "x = " + "[" * 101 + "]" * 101, ""),
        ("c.toml", "x = " + "{a = " * DEEP, ""),
        ("c.toml", "a = 1\n" + "a." * DEEP + "a = 1", ":2:1"),
        ("c.toml", "[" + '"a\\"" . ' * DEEP + "a]", ":1:2"),
        ("c.toml", "x = {" + "'a'.a." * DEEP + "a = 1}", ":1:6"),
    ],
)  # fmt: skip
def test_a_file_that_is_nested_too_deeply_is_refused_before_a_parser_suffers(
    file: str, text: str, place: str
) -> None:
    """By recursion, or by a time that grows with the square of the depth."""
    hint = "100 levels are the most; in YAML an alias may hold itself"
    assert problems_of(text, file) == [f"{file}{place}: is nested too deeply. {hint}"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("c.yaml", "[" * 98 + "x" + "]" * 98),
        ("c.yaml", "".join(f"- [a, {{b: {n}}}]\n" for n in range(1000))),
        ("c.json", "[" * 100 + "]" * 100),
        ("c.toml", "x = " + "[" * 98 + "1" + "]" * 98),
        ("c.toml", f"x = '{'a' * 1000} . {'b-' * 1000}' # {'a. ' * 90}"),
        ("c.toml", 'x = "' + "a. " * 200 + '"'),
        ("c.toml", 'x = "' + '\\"' * 200_000 + '"'),
    ],
)
def test_what_is_wide_or_long_is_not_deep(file: str, text: str) -> None:
    """Nor is what reaches the bound without passing it."""
    assert read(file, text).problems == []


def test_json_of_too_many_values_is_refused_as_yaml_is() -> None:
    """Each takes a place in memory."""
    (problem,) = problems_of("[" + "1," * 100_001 + "]", "c.json")
    assert problem.startswith("c.json:1:200000: holds more than 100000 values")


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("c.yaml", "proxy: {port: 1, port: 2}", "c.yaml:1:18: proxy.port"),
        ("c.yaml", "log: {}\nlog: {}\n", "c.yaml:2:1: log"),
        ("c.json", '{"proxy": {"port": 1,\n "port": 2}}', "c.json:2:2: proxy.port"),
        ("c.json", '{"l\\u006fg": {}, "log": {}}', "c.json:1:18: log"),
    ],
)
def test_a_key_that_stands_twice_is_a_problem(file: str, text: str, expected: str) -> None:
    """Nobody can tell which of them is meant."""
    assert problems_of(text, file) == [f"{expected}: the key stands twice. keep one of them"]


def test_yaml_keys_keep_the_name_that_is_written() -> None:
    """`ON` and `NO` are names of variables, not truth values; numbers stay as they look."""
    text = "servers:\n- id: a\n  command: python3\n  env: {ON: x, NO: y, 007: z, ~: n, 1_0: u}\n"
    assert dict(settings_of(text).servers[0].env) == {
        "ON": "x", "NO": "y", "007": "z", "~": "n", "1_0": "u",
    }  # fmt: skip


def test_yaml_anchors_and_merge_keys_work() -> None:
    """People write what is common to several servers once."""
    text = """\
servers:
  - &base {id: a, command: python3, timeout: 3s}
  - &next {<<: *base, id: b}
  - {<<: [*next, *base], id: c, timeout: 5s}
"""
    servers = settings_of(text).servers
    assert [(s.id, s.command, s.timeout_s) for s in servers] == [
        ("a", "python3", 3.0), ("b", "python3", 3.0), ("c", "python3", 5.0),
    ]  # fmt: skip
    assert problems_of(text.replace("id: b}", "id: b, id: d}")) == [
        "c.yaml:3:30: servers[1].id: the key stands twice. keep one of them",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-1.5", -1.5), ("1e3", 1000.0), ("true", True), ("false", False),
        ("null", None), ('"\\u00e9"', "é"), ("[]", []),
    ],
)  # fmt: skip
def test_json_values_of_every_kind_are_read(text: str, value: object) -> None:
    """By value and by type."""
    found = read("c.json", f'{{"a": {text}}}').data["a"]
    assert (found, type(found)) == (value, type(value))


def test_paths_are_written_as_people_do() -> None:
    """Dots between keys, brackets around numbers."""
    assert dotted(("servers", 0, "url")) == "servers[0].url"
    assert dotted(()) == ""
