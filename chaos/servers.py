"""Servers hang, crash and babble; the network to them is bad."""

import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from chaos.load import Load, load
from chaos.measures import descriptors
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, http_backend, site, weak_backend
from tests.support.fault_proxy import FAULTS, FaultProxy
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.waiting import wait_until
from tests.support.zoo import BAD, animal, zoo

_SWIFT = {"check_interval": "250ms", "timeout": "250ms", "failure_threshold": 2}
_RATE = 300.0
_REST_S, _HANG_S = 1.0, 3.0
_UNTOUCHED = 1.1
"""So many times the calm p99 is as good as the same."""
_LOOK_S = 0.25
"""So rarely, for who asks for the state takes CPU time from the calls that are measured."""
_RETRIES, _RESERVE = 0.2, 10


def hung_server(seconds: float, findings: Findings) -> None:
    """Stop one of several servers with SIGSTOP under load, again and again.

    A second gateway with a server that never hangs has the same calls at the same time: what the
    machine does to calls, it does to both.
    """
    with (
        http_backend() as (port, process), _beside(port) as gateway,
        http_backend() as (calm_port, _), _beside(calm_port) as calm_gateway,
    ):  # fmt: skip
        with _calls(gateway, seconds / 3) as (before, _), _calls(calm_gateway, seconds / 3):
            pass
        calls, calm_calls = _calls(gateway, seconds), _calls(calm_gateway, seconds)
        with calls as (others, own), calm_calls as (calm, _):
            hangs = _hang_again_and_again(process.pid, gateway, calm_gateway, seconds)
    findings.note(
        times=hangs, calls_to_others=others.calls, their_failures=sum(others.failures.values()),
        their_p99_ms=others.p99_ms, calm_p99_ms=calm.p99_ms, before_p99_ms=before.p99_ms,
        calls_to_it=own.calls, its_failures=sum(own.failures.values()),
    )  # fmt: skip
    findings.expect(not others.failures, f"others are served on: {others.failures}")
    findings.expect("timeout" not in own.failures, "its calls end at their own timeout")
    findings.aim(others.p99_ms <= _UNTOUCHED * calm.p99_ms, "others do not wait longer")
    findings.aim(others.p99_ms < 2 * before.p99_ms, "nor does the machine keep both")


def _hang_again_and_again(pid: int, gateway: Gateway, calm_gateway: Gateway, seconds: float) -> int:
    """Stop a server and let it go on, at least once; returns how often."""
    end, hangs = time.monotonic() + seconds, 0
    while hangs == 0 or time.monotonic() + _HANG_S + _REST_S < end:
        time.sleep(_REST_S)
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        _wait_for("down", gateway, calm_gateway)
        time.sleep(max(began + _HANG_S - time.monotonic(), 0))
        os.kill(pid, signal.SIGCONT)
        _wait_for("up", gateway, calm_gateway)
        hangs += 1
    return hangs


def _beside(port: int) -> AbstractContextManager[Gateway]:
    hung = {"id": "hung", "url": f"http://127.0.0.1:{port}/mcp", "timeout": "1s"}
    return site(2, hung, health=_SWIFT)


def _wait_for(state: str, gateway: Gateway, calm_gateway: Gateway) -> None:
    """Wait for a server's state; who asks takes time from calls, so the other one is asked, too."""

    def is_so() -> bool:
        calm_gateway.server("hung")
        return bool(gateway.server("hung")["state"] == state)

    wait_until(is_so, f"it is {state}", step_s=_LOOK_S)


@contextmanager
def _calls(gateway: Gateway, seconds: float) -> Iterator[tuple[Load, Load]]:
    """Call another server, and the one that hangs."""
    with (
        load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as others,
        load(gateway.url, "hung__echo", rate=50, seconds=seconds, timeout_s=5) as own,
    ):
        yield others, own


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
    Scenario("hung-server", "SIGSTOP of one server delays nobody else", hung_server, 36),
    Scenario("bad-children", "each bad server costs its own tools only", bad_children, 10),
    Scenario("bad-network", "every call ends by its deadline, and nothing leaks", bad_network, 10),
)
