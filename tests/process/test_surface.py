"""What the gateway tells of itself: health, readiness, metrics, and the admin API."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

ADMIN = "/api/v1/admin"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run the demonstration with four workers."""
    with Gateway(None, workers=4) as gateway:
        yield gateway


def _samples(gateway: Gateway) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what /metrics says, by name and labels."""
    status, body = gateway.get("/metrics")
    assert status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_health_is_200_while_a_server_is_usable(tmp_path: Path) -> None:
    """A load balancer waits for it, also when it is gone for a while; the process lives on."""
    gate = tmp_path / "gate"
    config = zoo(animal("late", "late", gate), handshake_timeout="20s")
    with Gateway(config, wait_for=(), directory=tmp_path) as gateway:
        for _ in range(2):
            wait_until(lambda: gateway.get("/health")[0] == 503, "nothing is usable")
            servers = {"up": 0, "total": 1}
            assert json.loads(gateway.get("/health")[1]) == {
                "status": "unavailable", "servers": servers,
            }  # fmt: skip
            assert gateway.get("/livez") == (200, b"ok\n")
            assert gateway.get(f"{ADMIN}/health")[0] == 503
            gate.touch()
            wait_until(lambda: gateway.get("/health")[0] == 200, "the server is usable")
            servers = {"up": 1, "total": 1}
            assert json.loads(gateway.get("/health")[1]) == {"status": "ok", "servers": servers}
            assert json.loads(gateway.get(f"{ADMIN}/health")[1])["servers"] == {"late": "up"}
            with McpClient(gateway.port) as client:
                client.request("tools/call", name="late__act", arguments={})


def test_a_gateway_without_servers_is_healthy(tmp_path: Path) -> None:
    """Nothing that was declared is missing."""
    with Gateway(zoo(), directory=tmp_path) as gateway:
        assert gateway.get("/health")[0] == 200
        with McpClient(gateway.port) as client:
            assert client.tools() == []


def test_readiness_ends_with_the_drain(tmp_path: Path) -> None:
    """While a worker finishes its calls it says so on the connections that it still has."""
    config = zoo(animal("a", "deaf"), shutdown_timeout="300s", timeout="300s")
    with (
        Gateway(config, directory=tmp_path) as gateway,
        McpClient(gateway.port) as client,
    ):
        assert gateway.get("/readyz") == (200, b"ok\n")
        client.send("tools/call", name="a__act", arguments={})
        gateway.send(signal.SIGTERM)
        wait_until(lambda: gateway.processes()["worker", 0]["state"] == "draining", "it drains")
        assert gateway.processes()["supervisor", 0]["state"] == "draining"
        gateway.send(signal.SIGTERM)
        assert gateway.wait() == 143


def test_counters_are_summed_over_workers_and_survive_their_end(gateway: Gateway) -> None:
    """Whichever worker is asked, and whichever has been killed since: the sums hold."""
    key = ("only1mcp_requests_total", (("method", "tools/call"), ("status", "ok")))
    server = ("only1mcp_upstream_requests_total", (("server_id", "demo-calc"), ("status", "ok")))
    before = _samples(gateway)
    for number in range(40):
        with McpClient(gateway.port) as client:
            assert client.call("demo-calc__add", a=number, b=0) == str(number)
    after = _samples(gateway)
    assert after[key] - before.get(key, 0) == 40
    assert after[server] - before.get(server, 0) == 40
    for _ in range(8):
        assert _samples(gateway)[key] == after[key]
    for pid in gateway.pids("worker"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: sum(r["restarts"] for r in gateway.processes().values()) == 4, "replaced")
    wait_until(lambda: _all_ready(gateway), "they serve")
    assert _samples(gateway)[key] == after[key]


def _all_ready(gateway: Gateway) -> bool:
    return {row["state"] for row in gateway.processes().values()} == {"ready"}


def test_metrics_tell_of_processes_servers_and_latency(gateway: Gateway) -> None:
    """Everything a dashboard needs is there, under names that do not change."""
    refused = ("only1mcp_requests_total", (("method", "tools/call"), ("status", "unknown_target")))

    def is_refused() -> bool:
        """A worker that has just come calls a name unknown once it has heard of all servers."""
        with McpClient(gateway.port) as client:
            client.call("demo-time__now")
            client.request("tools/call", name="nobody__x", arguments={})
        return refused in _samples(gateway)

    wait_until(is_refused, "an unknown target is refused as one")
    samples = _samples(gateway)
    names = {name for name, _ in samples}
    assert {
        "only1mcp_build_info", "only1mcp_worker_up", "only1mcp_process_starts_total",
        "only1mcp_request_duration_seconds_bucket", "only1mcp_backend_latency_seconds_count",
        "only1mcp_backend_health_status", "only1mcp_tools", "only1mcp_stdio_restarts_total",
    } <= names  # fmt: skip
    assert samples["only1mcp_tools", (("server_id", "demo-calc"),)] == 4
    assert samples["only1mcp_backend_health_status", (("server_id", "demo-time"),)] == 1
    assert samples[refused] >= 1
    assert sum(samples["only1mcp_worker_up", (("worker", str(n)),)] for n in range(4)) == 4


def test_the_admin_api_answers_reads_on_the_data_port(gateway: Gateway) -> None:
    """What `only1mcp status` shows can be had over HTTP from this machine."""
    bodies = {}
    for name in ("health", "servers", "metrics", "status"):
        status, body = gateway.get(f"{ADMIN}/{name}")
        assert status == 200
        bodies[name] = json.loads(body)
    assert bodies["health"]["status"] == "ok"
    assert [server["id"] for server in bodies["servers"]["servers"]] == [
        "demo-time", "demo-files", "demo-calc",
    ]  # fmt: skip
    assert bodies["status"]["pid"] == gateway.pid
    assert {sample["name"] for sample in bodies["metrics"]["metrics"]} >= {"only1mcp_worker_up"}
    assert gateway.get(f"{ADMIN}/nothing")[0] == 404


def test_the_admin_api_shows_no_command_line_and_no_secret(tmp_path: Path) -> None:
    """Arguments and environments of servers may hold keys; no answer repeats them."""
    secret = "hunter2-hunter2"
    config = zoo(animal("a", "tame", env={"KEY": secret}), animal("b", "crash", ""))
    config["servers"][0]["args"].append(secret)
    with Gateway(config, directory=tmp_path, wait_for=["a"]) as gateway:
        for path in (f"{ADMIN}/status", f"{ADMIN}/servers", f"{ADMIN}/metrics", "/metrics"):
            assert secret.encode() not in gateway.get(path)[1]
        for arguments in (["status"], ["status", "--json"], ["list", "--json"]):
            assert secret not in str(gateway.command(*arguments, "--json"))
        assert secret not in gateway.log


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"]
)
def test_the_admin_api_refuses_what_a_proxy_has_forwarded(gateway: Gateway, header: str) -> None:
    """Behind a proxy everybody would look like this machine."""
    with McpClient(gateway.port) as client:
        response, _ = client.exchange("GET", None, {header: "127.0.0.1"}, f"{ADMIN}/status")
        assert response.status == 403
        response, _ = client.exchange("GET", None, {"Origin": "https://evil.example"},
                                      f"{ADMIN}/status")  # fmt: skip
        assert response.status == 403
        response, _ = client.exchange("POST", b"{}", {}, f"{ADMIN}/status")
        assert response.status == 405


def test_the_admin_api_says_when_its_process_is_being_replaced(tmp_path: Path) -> None:
    """A worker that cannot reach it answers 503; the gateway's own health goes on."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        control = gateway.pids("control")[0]
        os.kill(control, signal.SIGSTOP)
        try:
            assert gateway.get(f"{ADMIN}/status")[0] == 503
            assert gateway.get("/health")[0] == 200
            with McpClient(gateway.port) as client:
                assert client.call("a__echo", text="x") == "x"
        finally:
            os.kill(control, signal.SIGCONT)
