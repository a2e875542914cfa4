"""Where load may be sent, and where not."""

import pytest

from only1mcp.benchmark.plan import CannotMeasure, Plan, find_target


@pytest.mark.parametrize(
    ("url", "address", "port", "path"),
    [
        ("http://127.0.0.1:8080/mcp", "127.0.0.1", 8080, "/mcp"),
        ("http://127.9.9.9/mcp/work?a=b", "127.9.9.9", 80, "/mcp/work?a=b"),
        ("http://[::1]:9", "::1", 9, "/"),
    ],
)
def test_an_address_of_this_machine_is_accepted(
    url: str, address: str, port: int, path: str
) -> None:
    """In each of its forms."""
    target = find_target(url)
    assert (target.addresses, target.port, target.path) == ((address,), port, path)


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/mcp", "http://0.0.0.0:8080/mcp", "http://[2001:db8::1]/mcp"]
)
def test_another_machine_is_refused(url: str) -> None:
    """A load tool that reaches others is a weapon."""
    with pytest.raises(CannotMeasure, match="not this machine") as caught:
        find_target(url)
    assert (caught.value.code, bool(caught.value.hint)) == ("NOT_LOCAL", True)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "https://127.0.0.1/mcp", "http://127.0.0.1:x/", "http:///mcp"]
)
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    """With an example of one."""
    with pytest.raises(CannotMeasure) as caught:
        find_target(url)
    assert caught.value.code == "BAD_URL"
    assert "http://127.0.0.1" in caught.value.hint


@pytest.mark.parametrize(("rate", "seconds", "calls"), [(10, 2, 20), (0.1, 1, 1), (3, 0.5, 2)])
def test_a_plan_knows_how_many_calls_it_makes(rate: float, seconds: float, calls: int) -> None:
    """At least one."""
    assert Plan("x", rate=rate, duration_s=seconds).calls == calls
