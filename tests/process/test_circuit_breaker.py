"""Circuit breakers and retries in a whole gateway, by what servers count."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.backend_farm import Farm, Server
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.waiting import wait_until

PURE = pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
CLIENTS = 24
"""So many connections, and each of four workers has some."""
RECOVERED_S = 30.0


def config(*servers: dict[str, Any], **proxy: Any) -> dict[str, Any]:
    """Return a configuration in which no health check interferes unless it is meant to."""
    quiet = {"check_interval": "1h"}
    return {"proxy": {"health": quiet, "routing": {"algorithm": "round_robin"}, **proxy},
            "servers": list(servers)}  # fmt: skip


def declared(server_id: str, *servers: Server) -> dict[str, Any]:
    """Declare a server with these instances."""
    return {"id": server_id, "instances": [{"url": one.url} for one in servers]}


def breakers(gateway: Gateway, server_id: str = "s") -> list[str]:
    """Return what each breaker does."""
    return [str(one["breaker"]) for one in gateway.server(server_id)["instances"]]


def outcomes(clients: list[McpClient], tool: str = "s__act") -> Counter[str]:
    """Call from all at the same time; return how that ended."""
    for number, client in enumerate(clients):
        client.send("tools/call", name=tool, arguments={"n": number})
    return Counter(ended(client) for client in clients)


def ended(client: McpClient) -> str:
    """Return how a call ended."""
    _, message = client.receive()
    error = message.get("error", {}).get("message", "")
    return "refused" if "failed too often" in error else "failed" if error else "well"


@PURE
def test_a_breaker_that_one_worker_opens_is_open_for_all(pure: bool) -> None:
    """No call of any other reaches the server after the last one that failed."""
    with Farm(1) as farm, ExitStack() as stack:
        (server,) = farm.servers
        breaker = {"failure_threshold": 5, "timeout": "1h", "heed_checks": False}
        settings = config(declared("s", server), circuit_breaker=breaker)
        gateway = stack.enter_context(Gateway(settings, workers=4, pure=pure))
        clients = [stack.enter_context(McpClient(gateway.port)) for _ in range(CLIENTS)]
        assert outcomes(clients) == {"well": CLIENTS}
        server.fails = lambda number: "lost"
        before = server.calls
        for number in range(5):  # all on one connection, so that one worker sees them
            with pytest.raises(CallFailed):
                clients[0].call("s__act", n=number)
        assert outcomes(clients) == {"refused": CLIENTS}
        assert server.calls == before + 5
        assert breakers(gateway) == ["open"]


@PURE
def test_as_many_calls_as_configured_try_an_instance_whichever_workers_they_come_to(
    pure: bool,
) -> None:
    """All others are refused meanwhile; when the last of them has gone well, all come through."""
    with Farm(1) as farm, ExitStack() as stack:
        (server,) = farm.servers
        breaker = {"failure_threshold": 5, "success_threshold": 3, "timeout": "1h"}
        settings = config(
            declared("s", server), circuit_breaker=breaker, timeout="60s",
            health={"check_interval": "500ms"},  # a good check has it tried
        )  # fmt: skip
        gateway = stack.enter_context(Gateway(settings, workers=4, pure=pure))
        clients = [stack.enter_context(McpClient(gateway.port)) for _ in range(CLIENTS)]
        probing = stack.enter_context(McpClient(gateway.port))
        server.fails = lambda number: "lost"
        for number in range(5):
            with pytest.raises(CallFailed):
                clients[0].call("s__act", n=number)
        server.fails = lambda number: ""
        farm.hold(server)
        before = server.calls
        wait_until(lambda: is_let_through(probing, server, before), "the first that tries it")
        for number, client in enumerate(clients):
            client.send("tools/call", name="s__act", arguments={"n": number})
        wait_until(lambda: sum(map(has_answer, clients)) == CLIENTS - 2, "all but two answers")
        assert [ended(one) for one in clients if has_answer(one)] == ["refused"] * (CLIENTS - 2)
        wait_until(lambda: server.calls >= before + 3, "the two to come there")
        assert (server.calls, breakers(gateway)) == (before + 3, ["half_open"])
        farm.release(server)
        wait_until(lambda: breakers(gateway) == ["closed"], "the breaker to close")
        with McpClient(gateway.port) as client:
            assert client.call("s__act", n=1) == server.url


def is_let_through(client: McpClient, server: Server, before: int) -> bool:
    """Call; say whether the call has come to the server, which does not answer."""
    client.send("tools/call", name="s__act", arguments={"n": 1000})
    wait_until(lambda: server.calls > before or has_answer(client), "the call or its refusal")
    if server.calls > before:
        return True
    client.receive()
    return False


def has_answer(client: McpClient) -> bool:
    """Say whether an answer has come that was not read yet."""
    sock = client.http.sock
    return sock is not None and bool(select.select([sock], [], [], 0)[0])


def test_checks_never_take_the_last_instance_away() -> None:
    """When all of them fail their checks it is better not to believe it."""
    with Farm(2) as farm:
        settings = config(declared("s", *farm.servers), health={"check_interval": "100ms"})
        with Gateway(settings) as gateway, McpClient(gateway.port) as client:
            for server in farm.servers:
                server.is_unwell = True
            wait_until(lambda: healths(gateway) == ["down", "down"], "the verdicts")
            assert {client.call("s__act", n=n) for n in range(4)} == {
                server.url for server in farm.servers
            }
            farm.servers[0].is_unwell = False
            wait_until(lambda: healths(gateway) == ["up", "down"], "one to be up")
            assert {client.call("s__act", n=n) for n in range(4)} == {farm.servers[0].url}


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (60, 2)])
def test_below_the_panic_threshold_nobody_heeds_checks(percent: int, expected: int) -> None:
    """Half of the instances are up: fewer than 60 percent, not fewer than none."""
    with Farm(2) as farm:
        routing = {"algorithm": "round_robin", "panic_threshold": percent}
        settings = config(
            declared("s", *farm.servers), routing=routing, health={"check_interval": "100ms"}
        )
        with Gateway(settings) as gateway, McpClient(gateway.port) as client:
            farm.servers[1].is_unwell = True
            wait_until(lambda: healths(gateway) == ["up", "down"], "the verdict")
            assert len({client.call("s__act", n=n) for n in range(6)}) == expected


def healths(gateway: Gateway) -> list[str]:
    """Return what the host says of each instance."""
    return [str(one["health"]) for one in gateway.server("s").get("instances", [])]


@PURE
def test_a_slow_instance_gets_less_where_weights_are_adjusted(pure: bool) -> None:
    """For all servers, or for one; the latency is shown anyway."""
    with Farm(4) as farm, ExitStack() as stack:
        for place in (1, 3):
            farm.servers[place].takes_s = 0.05
        adjusted, fixed = declared("s", *farm.servers[:2]), declared("t", *farm.servers[2:])
        fixed["routing"] = {"adjust_weights": False}
        settings = config(
            adjusted, fixed, health={"check_interval": "200ms"},
            routing={"algorithm": "round_robin", "adjust_weights": True},
        )  # fmt: skip
        gateway = stack.enter_context(Gateway(settings, workers=2, pure=pure))
        client = stack.enter_context(McpClient(gateway.port))

        def is_weighed() -> bool:
            for name in "st":
                for number in range(4):
                    client.call(f"{name}__act", n=number)
            slow, other = gateway.server("s")["instances"][1], gateway.server("t")["instances"][1]
            return bool(slow["weight_factor"] < 0.5 and other["latency_ms"] > 10)

        wait_until(is_weighed, "the weights")
        assert [one["weight_factor"] for one in gateway.server("t")["instances"]] == [1, 1]
        before = [one.calls for one in farm.servers]
        for number in range(40):
            client.call("s__act", n=number)
            client.call("t__act", n=number)
        fast, slow, third, fourth = (
            one.calls - was for one, was in zip(farm.servers, before, strict=True)
        )
        assert third == fourth == 20
        assert slow < 15
        assert fast + slow == 40
        metrics = gateway.get("/metrics")[1].decode()
        weight = next(line for line in metrics.splitlines() if is_weight_of(line, farm.servers[1]))
        assert float(weight.split()[1]) < 1.0


def is_weight_of(line: str, server: Server) -> bool:
    """Say whether a line of metrics tells the weight of an instance."""
    return line.startswith("only1mcp_instance_weight{") and server.url in line


@PURE
@pytest.mark.parametrize("fault", ["lost", "busy"])
@pytest.mark.parametrize("count", [1, 3])
def test_calls_are_sent_again_within_the_budget_and_only_if_safe(
    pure: bool, fault: str, count: int
) -> None:
    """Of a server that fails every second call: a fifth more at most, and no other call at all."""
    calls = 200
    with Farm(count) as farm:
        settings = config(declared("s", *farm.servers), circuit_breaker={"failure_threshold": 1000})
        for server in farm.servers:
            server.fails = lambda number: fault if number % 2 else ""
        with Gateway(settings, workers=2, pure=pure) as gateway:
            for tool in ("act", "look"):
                came = Counter[int]()
                with McpClient(gateway.port) as client:
                    for number in range(calls):
                        with contextlib.suppress(CallFailed):
                            client.call(f"s__{tool}", n=number)
                for server in farm.servers:
                    came += Counter({n: k for (name, n), k in server.came.items() if name == tool})
                assert set(came) == set(range(calls))
                again = sum(came.values()) - calls
                if tool == "act":
                    assert again == 0
                elif fault == "lost" or count > 1:
                    assert 0 < again <= 0.2 * 2 * calls


def test_one_hung_server_of_fifty_costs_the_others_nothing() -> None:
    """Its calls fail in their time until its breaker opens; it is back soon after it goes on."""
    with ExitStack() as stack:
        _, urls = stack.enter_context(farm_apart(49))
        pid, (victim,) = stack.enter_context(farm_apart(1))
        servers = [{"id": f"s{n}", "url": url} for n, url in enumerate([*urls, victim])]
        breaker = {"failure_threshold": 5, "timeout": "1h"}
        settings = {"proxy": {"timeout": "1s", "circuit_breaker": breaker}, "servers": servers}
        gateway = stack.enter_context(Gateway(settings, workers=2))
        others = stack.enter_context(Others(gateway.port, urls))
        os.kill(pid, signal.SIGSTOP)
        client = stack.enter_context(McpClient(gateway.port))
        messages: list[str] = []
        while not messages or "failed too often" not in messages[-1]:
            _, message = client.request("tools/call", name="s49__act", arguments={"n": 1})
            messages.append(message["error"]["message"].partition(". hint")[0])
        assert messages[:-1] == ["server s49 did not answer within 1 s"] * 5
        before = others.answered
        wait_until(lambda: others.answered > before + 200, "calls of the others")
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: is_well(client), "the server to be back", RECOVERED_S)
        wait_until(
            lambda: is_well(client) and breakers(gateway, "s49") == ["closed"], "the breaker"
        )
    assert others.failures == []


def is_well(client: McpClient) -> bool:
    """Say whether the server answers calls again."""
    return "result" in client.request("tools/call", name="s49__act", arguments={"n": 2})[1]


def is_closed(gateway: Gateway, client: McpClient) -> bool:
    """Call once more; say whether the breaker is closed."""
    return is_well(client) and breakers(gateway, "s49") == ["closed"]


class Others(threading.Thread):
    """Calls all servers but the last, one after the other."""

    def __init__(self, port: int, urls: list[str]) -> None:
        super().__init__()
        self.answered = 0
        self.failures: list[str] = []
        self._port = port
        self._urls = urls
        self._ended = threading.Event()

    def __enter__(self) -> "Others":
        self.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Call until told to stop."""
        with McpClient(self._port) as client:
            while not self._ended.is_set():
                place = self.answered % len(self._urls)
                try:
                    assert client.call(f"s{place}__look", n=1) == self._urls[place]
                except (CallFailed, AssertionError) as failure:
                    self.failures.append(str(failure))
                self.answered += 1


@contextlib.contextmanager
def farm_apart(count: int) -> Iterator[tuple[int, list[str]]]:
    """Run so many servers as one process; yields its pid and their addresses."""
    command = [sys.executable, "-m", "tests.support.backend_farm", str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
