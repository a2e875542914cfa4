"""What an operator sees of a server that fails calls: breakers, retries, and what is withheld."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.backend_farm import Farm, Server
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.waiting import wait_until

PURE = pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
BROKEN = r"breaker open: answered with HTTP status 500 .*; tried again in \d+ s"


def config(*servers: Server, **breaker: Any) -> dict[str, Any]:
    """Declare server `s` with these instances, which no check brings back."""
    places = [{"url": one.url} for one in servers]
    declared = {"id": "s", **(places[0] if len(places) == 1 else {"instances": places})}
    return {
        "proxy": {
            "health": {"check_interval": "1h"}, "routing": {"algorithm": "round_robin"},
            "circuit_breaker": {"failure_threshold": 2, "heed_checks": False, **breaker},
        },
        "servers": [declared],
    }  # fmt: skip


def fail(client: McpClient, tool: str = "act") -> str:
    """Call; return with what that failed, or nothing."""
    try:
        client.call(f"s__{tool}", n=1)
    except CallFailed as failure:
        return str(failure)
    return ""


def fail_until(client: McpClient, is_enough: Callable[[str], bool]) -> None:
    """Call until one has failed in such a way."""
    wait_until(lambda: is_enough(fail(client)), "the failure")


@PURE
def test_status_tells_why_a_server_with_one_address_gets_no_calls(pure: bool) -> None:
    """It is up by its checks, as before, and so is the gateway."""
    with Farm(1) as farm:
        (server,) = farm.servers
        settings = config(server, timeout="1h")
        with Gateway(settings, pure=pure) as gateway, McpClient(gateway.port) as client:
            assert gateway.server("s")["detail"] == ""
            assert "BREAKER" not in gateway.run("status")[1]
            server.fails = lambda number: "broken"
            fail_until(client, lambda said: "failed too often" in said)
            wait_until(lambda: re.fullmatch(BROKEN, gateway.server("s")["detail"]), "the reason")
            assert gateway.server("s")["state"] == "up"
            assert gateway.get("/health")[0] == 200
            lines = gateway.run("status")[1].splitlines()
            assert re.search(rf"^s +http +up .*{BROKEN}$", "\n".join(lines), re.MULTILINE)
            (row,) = [line for line in lines if server.url in line]
            assert re.search(r" up +open .*HTTP status 500 .*; tried again in \d+ s$", row)


def test_status_tells_how_many_instances_get_no_calls() -> None:
    """When all do not, why; when they are well again, nothing."""
    with Farm(3) as farm:
        settings = config(*farm.servers, timeout="100ms", success_threshold=1)
        with Gateway(settings) as gateway, McpClient(gateway.port) as client:

            def wait_for(detail: str) -> None:
                def is_told() -> bool:
                    fail(client)
                    return re.match(detail, gateway.server("s")["detail"]) is not None

                wait_until(is_told, detail)

            farm.servers[1].fails = lambda number: "broken"
            wait_for("breaker open at 1 of 3 instances$")
            for server in farm.servers:
                server.fails = lambda number: "broken"
            wait_for("breaker open: answered with HTTP status 500 ")
            for server in farm.servers:
                server.fails = lambda number: ""
            wait_for("$")


def counts(gateway: Gateway) -> tuple[float, float]:
    """Return how many calls were sent again, and how many were withheld."""
    text, line = gateway.get("/metrics")[1].decode(), r"^only1mcp_upstream_(\w+)_total{\S+} (\S+)$"
    found = dict(re.findall(line, text, re.MULTILINE))
    return float(found["retries"]), float(found["retries_withheld"])


@PURE
@pytest.mark.parametrize("count", [1, 3])
def test_each_call_that_is_sent_again_is_counted(pure: bool, count: int) -> None:
    """Exactly as often as servers see one twice; what the budget withholds is the other number."""
    with Farm(count) as farm:
        for server in farm.servers:
            server.fails = lambda number: "lost"
        settings = config(*farm.servers, failure_threshold=1000)
        with Gateway(settings, workers=1, pure=pure) as gateway, McpClient(gateway.port) as client:
            assert counts(gateway) == (0, 0)
            for _ in range(20):
                assert fail(client)
            assert counts(gateway) == (0, 0)
            before, calls = sum(server.calls for server in farm.servers), 60
            for _ in range(calls):
                assert fail(client, "look")
            again, withheld = counts(gateway)
            assert again == sum(server.calls for server in farm.servers) - before - calls
            assert again > 0
            assert 1 <= gateway.log.count("the retry budget is used up") < withheld


def test_a_call_that_goes_to_another_instance_is_counted() -> None:
    """One that never left as well, though that is no matter of the budget."""
    with ExitStack() as leaving, Farm(1) as there:
        gone = leaving.enter_context(Farm(1))
        settings = config(*gone.servers, *there.servers, failure_threshold=1000)
        with Gateway(settings) as gateway, McpClient(gateway.port) as client:
            leaving.close()
            for _ in range(6):
                assert fail(client) == ""
            again, withheld = counts(gateway)
            assert again >= 3
            assert withheld == 0


def test_a_call_that_a_breaker_refuses_is_not_in_the_latency() -> None:
    """It never left; it is among the calls by its status."""
    with Farm(1) as farm:
        (server,) = farm.servers
        server.fails = lambda number: "broken"
        with Gateway(config(server, timeout="1h")) as gateway, McpClient(gateway.port) as client:
            for _ in range(6):
                assert fail(client)
            text = gateway.get("/metrics")[1].decode()
            refused = 'only1mcp_upstream_requests_total{server_id="s",status="circuit_open"} 4.0'
            assert refused in text
            assert 'only1mcp_backend_latency_seconds_count{server_id="s"} 2.0' in text
