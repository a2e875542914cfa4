"""Servers fail, crash and babble; the network to them is bad."""

import os
import time
import urllib.request

from chaos.load import load
from chaos.measures import descriptors
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, http_backend, site, weak_backend
from tests.support.fault_proxy import FAULTS, FaultProxy
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.waiting import wait_until
from tests.support.zoo import BAD, animal, zoo

_RATE = 300.0
_RETRIES, _RESERVE = 0.2, 10


def bad_children(seconds: float, findings: Findings) -> None:
    """Run all bad servers beside a good one, and call each of them."""
    animals = [animal(mode, mode, os.devnull, timeout="1s") for mode in BAD]
    config = zoo(animal("pipe", "tame"), *animals, handshake_timeout="1s")
    with Gateway(config, workers=2, wait_for=["pipe"]) as gateway:
        with load(gateway.url, "pipe__echo", rate=100, seconds=seconds) as good:
            ended = [_ends(gateway, mode) for mode in BAD]
        findings.note(
            bad_servers=len(BAD), calls_to_the_good_one=good.calls,
            its_failures=sum(good.failures.values()), calls_that_never_ended=ended.count(False),
        )  # fmt: skip
        findings.expect(not good.failures, f"the good one is served on: {good.failures}")
        findings.expect(all(ended), "each call to a bad one ends")


def _ends(gateway: Gateway, server_id: str) -> bool:
    with McpClient(gateway.port) as client:
        try:
            client.call(f"{server_id}__act")
        except CallFailed:
            pass
        except TimeoutError:
            return False
    return True


def bad_network(seconds: float, findings: Findings) -> None:
    """Put each fault of the network between gateway and server, one after the other."""
    with http_backend() as (port, _), FaultProxy(port) as proxy:
        bad = {"id": "bad", "url": f"http://127.0.0.1:{proxy.port}/mcp", "timeout": "1s"}
        with site(2, bad) as gateway:
            gateway.wait_up("bad")
            before = descriptors(gateway)
            with load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as others:
                for fault in FAULTS:
                    _cause(gateway, proxy, fault, seconds / len(FAULTS) / 2, findings)
            proxy.heal()
            wait_until(lambda: gateway.server("bad")["state"] == "up", "it has recovered")
            with McpClient(gateway.port) as client:
                assert client.call("bad__echo", text="well again").startswith("well again")
            findings.note(
                faults=len(FAULTS), calls_to_others=others.calls,
                their_failures=sum(others.failures.values()),
                descriptors_more=descriptors(gateway) - before,
            )  # fmt: skip
            findings.expect(not others.failures, f"others are served on: {others.failures}")


def _cause(
    gateway: Gateway, proxy: FaultProxy, fault: str, seconds: float, findings: Findings
) -> None:
    """Call through one fault; every call must end in time, well or with an error."""
    proxy.cause(fault)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        findings.expect(_ends(gateway, "bad"), f"calls end in spite of {fault}")
    proxy.heal()


def failing_server(seconds: float, findings: Findings) -> None:
    """Call a server that breaks off every second call: one tool that is safe, and one that is not.

    Both of its addresses are the same program, which counts.
    """
    for tool in ("echo", "act"):
        with weak_backend("flaky") as port:
            places = [{"url": f"http://127.0.0.1:{port}/{name}"} for name in "ab"]
            flaky = {"id": "flaky", "transport": "http", "instances": places}
            with site(1, flaky, circuit_breaker={"failure_threshold": 1000}) as gateway:
                gateway.wait_up("flaky")
                with load(gateway.url, f"flaky__{tool}", rate=_RATE, seconds=seconds) as calls:
                    pass
            sent = calls.calls + 1  # one to see whether it works
            extra = _count(port) - sent
        findings.note(**{
            f"{tool}_calls": sent, f"{tool}_failed": sum(calls.failures.values()),
            f"{tool}_sent_again": extra,
        })  # fmt: skip
        most = _RETRIES * sent + _RESERVE if tool == "echo" else 0
        findings.expect(0 <= extra <= most, f"{tool} is sent again {extra} times")


def _count(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as response:
        return int(response.read())


SCENARIOS = (
    Scenario(
        "failing-server",
        "at most a fifth of the calls is sent again, unsafe ones never",
        failing_server,
        5,
    ),
    Scenario("bad-children", "each bad server costs its own tools only", bad_children, 10),
    Scenario("bad-network", "every call ends by its deadline, and nothing leaks", bad_network, 10),
)
