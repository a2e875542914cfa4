"""Settings from the environment stand above the file."""

import pytest

from tests.support.configuration import problems_of, settings_of

FILE = "proxy:\n  port: 1\n  host: 127.0.0.1\n"


@pytest.mark.parametrize(
    ("variable", "value", "attribute", "expected"),
    [
        ("ONLY1MCP_PROXY__PORT", "9000", "port", 9000),
        ("ONLY1MCP_PORT", "9001", "port", 9001),
        ("ONLY1MCP_HOST", "127.0.0.2", "host", "127.0.0.2"),
        ("ONLY1MCP_WORKERS", "3", "workers", 3),
        ("ONLY1MCP_PROXY__WORKERS", "4", "workers", 4),
        ("ONLY1MCP_LOG_LEVEL", "debug", "log_level", "debug"),
        ("ONLY1MCP_LOG__FORMAT", "json", "log_format", "json"),
        ("ONLY1MCP_PROXY__SHUTDOWN_TIMEOUT", "500ms", "shutdown_timeout_s", 0.5),
        ("ONLY1MCP_PROXY__PAGE_SIZE", "7", "page_size", 7),
        ("ONLY1MCP_PROXY__ALLOWED_HOSTS", "a.org, b.org", "allowed_hosts", ("a.org", "b.org")),
    ],
)
@pytest.mark.parametrize("text", ["", FILE], ids=["no file", "over a file"])
def test_a_variable_overrides_its_key(
    text: str, variable: str, value: str, attribute: str, expected: object
) -> None:
    """Whether the key stands in the file or not."""
    assert getattr(settings_of(text, environment={variable: value}), attribute) == expected


def test_a_nested_limit_can_be_set_from_outside() -> None:
    """Every level of the path is a part of the name."""
    environment = {"ONLY1MCP_PROXY__LIMITS__MAX_BODY": "1MiB"}
    assert settings_of("", environment=environment).limits.max_body == 2**20


def test_the_short_name_wins_over_the_long_one() -> None:
    """It is what a command line option sets."""
    environment = {"ONLY1MCP_PORT": "1", "ONLY1MCP_PROXY__PORT": "2"}
    assert settings_of("", environment=environment).port == 1


BAD = [
    # variable, value, problem
    ("ONLY1MCP_PROXY__PORT", "x", "ONLY1MCP_PROXY__PORT: proxy.port: input should be a valid "
     "integer, unable to parse string as an integer"),
    ("ONLY1MCP_PORT", "70000", "ONLY1MCP_PORT: proxy.port: input should be less than or equal to "
     "65535"),
    ("ONLY1MCP_WORKERS", "many", "ONLY1MCP_WORKERS: proxy.workers: must be 1 to 64, or auto"),
    ("ONLY1MCP_LOG__LEVEL", "loud", "ONLY1MCP_LOG__LEVEL: log.level: input should be 'debug', "
     "'info', 'warning' or 'error'"),
    ("ONLY1MCP_PROXY__PROT", "1", "ONLY1MCP_PROXY__PROT: proxy.prot: unknown key. Did you mean "
     '"port"?'),
    ("ONLY1MCP_PRXY__PORT", "1", 'ONLY1MCP_PRXY__PORT: prxy: unknown key. Did you mean "proxy"?'),
    ("ONLY1MCP_PROXY__PORT__X", "1", "ONLY1MCP_PROXY__PORT__X: proxy.port.x: there is no such key. "
     "unset the variable"),
    ("ONLY1MCP_SERVERS__0__URL", "x", "ONLY1MCP_SERVERS__0__URL: servers.0.url: there is no such "
     "key. unset the variable"),
    ("ONLY1MCP_PROXY__TIMEOUT", "30", "ONLY1MCP_PROXY__TIMEOUT: proxy.timeout: a duration needs a "
     "number and a unit, as 500ms, 30s, 5m or 1h"),
]  # fmt: skip


@pytest.mark.parametrize(("variable", "value", "problem"), BAD)
def test_a_bad_override_is_blamed_on_its_variable(variable: str, value: str, problem: str) -> None:
    """Not on a file that says something else, or nothing."""
    text = "proxy:\n  port: 1\nservers: []\n"
    assert problems_of(text, environment={variable: value}) == [problem]


@pytest.mark.parametrize("variable", ["ONLY1MCP_PROXY__PORT", "ONLY1MCP_PRXY__PORT"])
def test_a_bad_override_is_blamed_on_its_variable_without_any_file(variable: str) -> None:
    """A container may have nothing but variables."""
    (problem,) = problems_of("", environment={variable: "x"})
    assert problem.startswith(f"{variable}: ")


def test_a_mistake_in_the_file_is_not_blamed_on_another_variable() -> None:
    """The file's own unknown key keeps its place."""
    environment = {"ONLY1MCP_PROXY__PORT": "9"}
    assert problems_of("proxy:\n  prot: 1\n", environment=environment) == [
        'c.yaml:2:3: proxy.prot: unknown key. Did you mean "port"?'
    ]


def test_variables_of_others_and_our_switches_are_no_overrides() -> None:
    """Only our prefix with two underscores names a key."""
    environment = {"PROXY__PORT": "1", "ONLY1MCP_PURE": "1", "ONLY1MCP_CONFIG": "x", "PORT": "2"}
    assert settings_of("", environment=environment).port == 8080
