"""Whether anything holds up an event loop, while all is done to it that can be done."""

import json
import signal
import time

from prometheus_client.parser import text_string_to_metric_families

from chaos.load import load
from chaos.scenario import Figure, Findings, Scenario
from chaos.site import HTTP_TOOL, STDIO_TOOL, http_backend
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.zoo import animal, zoo

_RATE = 300.0
_STALL_S = 0.05
_SHORT_S = "0.01"
_MANY = 200_000
_DEEP = 50
_WAITS = "only1mcp_event_loop_wait_seconds"
_STALLS = "only1mcp_event_loop_longest_stall_seconds"


def stalls(seconds: float, findings: Findings) -> None:
    """Reload, send huge messages of many keys, read metrics, kill nothing: under load."""
    with http_backend() as (port, _):
        web = {"id": "web", "url": f"http://127.0.0.1:{port}/mcp"}
        plain = zoo(web, animal("pipe", "tame"))
        more = zoo(web, animal("pipe", "tame"), animal("more", "tame"))
        with Gateway(plain, workers=2) as gateway:
            with (
                load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as calls,
                load(gateway.url, STDIO_TOOL, rate=_RATE / 3, seconds=seconds),
            ):
                end = time.monotonic() + seconds - 1
                rounds = 0
                while time.monotonic() < end:
                    rounds += 1
                    gateway.configure(more if rounds % 2 else plain)
                    gateway.send(signal.SIGHUP)
                    _be_difficult(gateway)
            found = _read(gateway.get("/metrics")[1].decode())
    for process, (share, longest_s) in found.items():
        key = process.replace("-", "_")
        stall_ms: Figure = round(longest_s * 1000, 1)
        findings.note(**{
            f"{key}_longest_stall_ms": stall_ms, f"{key}_within_10_ms": f"{share:.2%}"
        })  # fmt: skip
        if process != "control":  # it carries no call
            findings.aim(longest_s < _STALL_S, f"nothing holds up {process}")
    findings.note(rounds=rounds, calls=calls.calls, failures=sum(calls.failures.values()),
                  p99_ms=calls.p99_ms)  # fmt: skip
    findings.expect(not calls.failures, f"no call fails: {calls.failures}")


def _be_difficult(gateway: Gateway) -> None:
    """Send a large text, very many keys and deep arguments; some are refused, and may be."""
    many = {f"k{number}": number for number in range(_MANY)}
    deep: object = "x"
    for _ in range(_DEEP):
        deep = [deep]
    for arguments in ({"text": "x" * 3_000_000}, {"text": "x", "many": many}, {"deep": deep}):
        assert len(json.dumps(arguments)) < 4 * 2**20
        with McpClient(gateway.port) as client:
            try:
                client.call(HTTP_TOOL, **arguments)
            except CallFailed:
                continue
    gateway.get("/metrics")


def _read(text: str) -> dict[str, tuple[float, float]]:
    """Return of each process the share of short waits, and the longest of its own doing."""
    counts: dict[str, dict[str, float]] = {}
    longest: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            process = sample.labels.get("process", "")
            if sample.name == f"{_WAITS}_bucket":
                counts.setdefault(process, {})[sample.labels["le"]] = sample.value
            elif sample.name == _STALLS:
                longest[process] = sample.value
    return {
        process: (of[_SHORT_S] / of["+Inf"], longest[process])
        for process, of in sorted(counts.items()) if of["+Inf"]
    }  # fmt: skip


SCENARIOS = (Scenario("stalls", "nothing holds up an event loop for 50 ms", stalls, 10),)
