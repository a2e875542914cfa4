"""References to the environment and to files, resolved after parsing."""

from pathlib import Path

import pytest

from tests.support.configuration import problems_of, settings_of

ENVIRONMENT = {
    "HOSTNAME": "example.org",
    "EMPTY": "",
    "PORT": "9000",
    "EVIL": "x\n  port: 1",
    "_a1": "y",
    "BYTES": "a\udcff",
}
FORMS_KNOWN = (
    "write ${VAR}, ${VAR:-default}, ${VAR:?message} or ${file:/path}; $$ for a dollar sign"
)
FORMS = [
    ("plain", "plain"), ("${HOSTNAME}", "example.org"), ("${env:HOSTNAME}", "example.org"),
    ("a.${HOSTNAME}:${PORT}", "a.example.org:9000"), ("${NOPE:-fallback}", "fallback"),
    ("${EMPTY:-fallback}", "fallback"), ("${HOSTNAME:-fallback}", "example.org"),
    ("${env:NOPE:-x}", "x"), ("a${NOPE:-}b", "ab"), ("a${EMPTY}b", "ab"), ("${_a1}", "y"),
    ("${NOPE:-http://h:1/p}", "http://h:1/p"), ("$$HOSTNAME", "$HOSTNAME"), ("$$", "$"),
    ("$${HOSTNAME}", "${HOSTNAME}"), ("$HOSTNAME", "$HOSTNAME"), ("5$", "5$"), ("$", "$"),
    ("${HOSTNAME", "${HOSTNAME"), ("${HOSTNAME:?must be set}", "example.org"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "expected"), FORMS)
def test_a_reference_is_replaced_by_what_it_stands_for(written: str, expected: str) -> None:
    """Inside a value, several times, with a default; a doubled dollar sign is one."""
    text = f"servers: [{{id: a, command: python3, args: ['{written}']}}]"
    assert settings_of(text, environment=ENVIRONMENT).servers[0].args == (expected,)


UNRESOLVED = [
    ("${NOPE}", "${NOPE} is not set. set NOPE, or write ${NOPE:-default}"),
    ("${env:NOPE}", "${NOPE} is not set. set NOPE, or write ${NOPE:-default}"),
    ("${NOPE:?ask ops}", "${NOPE} is not set: ask ops. set NOPE"),
    ("${EMPTY:?ask ops}", "${EMPTY} is not set: ask ops. set EMPTY"),
    ("${}", "${} names no variable. write $$ for a dollar sign"),
    ("${1X}", "${1X} names no variable. write $$ for a dollar sign"),
    ("${a b}", "${a b} names no variable. write $$ for a dollar sign"),
    ("${PORT:=1}", f"${{PORT:=1}} is no reference. {FORMS_KNOWN}"),
    ("${PORT:+1}", f"${{PORT:+1}} is no reference. {FORMS_KNOWN}"),
    ("${input:token}", f"${{input:token}} is no reference. {FORMS_KNOWN}"),
    ("${BYTES}", "${BYTES} is not text in UTF-8. set BYTES anew"),
    ("${file:/no/such}", "/no/such cannot be read: No such file or directory. check the path"),
    ("${file:/dev/zero}", "/dev/zero cannot be read: it is a device, no regular file. "
     "check the path"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "what"), UNRESOLVED)
def test_a_reference_that_leads_nowhere_is_a_problem_at_its_place(written: str, what: str) -> None:
    """Once, not again as a wrong value."""
    text = f"proxy:\n  host: '{written}'\n"
    assert problems_of(text, environment=ENVIRONMENT) == [f"c.yaml:2:9: proxy.host: {what}"]


def test_references_work_in_every_form_of_file() -> None:
    """TOML and JSON as well; numbers may come from the environment too."""
    for file, text in (
        ("c.yaml", "proxy:\n  port: ${PORT}\n"),
        ("c.toml", '[proxy]\nport = "${PORT}"\n'),
        ("c.json", '{"proxy": {"port": "${PORT}"}}'),
    ):
        assert settings_of(text, file, ENVIRONMENT).port == 9000


def test_what_a_variable_holds_never_becomes_structure() -> None:
    """It is put in after parsing."""
    text = "servers:\n- id: a\n  command: python3\n  args: ['${EVIL}']\n"
    settings = settings_of(text, environment=ENVIRONMENT)
    assert (settings.servers[0].args, settings.port) == (("x\n  port: 1",), 8080)


def test_a_variable_s_own_references_are_not_followed() -> None:
    """What stands in the environment is a value, not a template."""
    text = "servers: [{id: a, command: python3, args: ['${A}']}]"
    settings = settings_of(text, environment={"A": "${B}", "B": "x"})
    assert settings.servers[0].args == ("${B}",)


def test_keys_are_left_alone() -> None:
    """Only values refer."""
    text = "servers:\n- id: a\n  command: python3\n  env: {'${HOSTNAME}': x}\n"
    assert settings_of(text, environment=ENVIRONMENT).servers[0].env == (("${HOSTNAME}", "x"),)


def test_a_file_gives_its_text_without_the_last_line_end(tmp_path: Path) -> None:
    """The form in which platforms hand out secrets."""
    secret = tmp_path / "token"
    secret.write_text("s3cret\nsecond\r\n")
    text = f"servers:\n- id: a\n  url: http://h/\n  headers: {{X: '${{file:{secret}}}'}}\n"
    with_line_end = problems_of(text)
    assert with_line_end == ["c.yaml:4:16: servers[0].headers.X: holds a line end"]
    secret.write_text("s3cret\n")
    assert settings_of(text).servers[0].headers == (("X", "s3cret"),)


def test_a_file_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    """Binary secrets cannot stand in a header."""
    secret = tmp_path / "token"
    secret.write_bytes(b"\xff\xfe\x00")
    (problem,) = problems_of(f"proxy:\n  host: ${{file:{secret}}}\n")
    assert problem.startswith(f"c.yaml:2:9: proxy.host: {secret} cannot be read")


def test_every_unresolved_reference_is_reported() -> None:
    """Also inside lists and beside other mistakes."""
    text = "proxy:\n  allowed_hosts: [a, '${B}', '${C}']\n  prot: 1\n"
    assert sorted(problems_of(text)) == [
        "c.yaml:2:22: proxy.allowed_hosts[1]: ${B} is not set. set B, or write ${B:-default}",
        "c.yaml:2:30: proxy.allowed_hosts[2]: ${C} is not set. set C, or write ${C:-default}",
        'c.yaml:3:3: proxy.prot: unknown key. Did you mean "port"?',
    ]
