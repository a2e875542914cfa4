"""The configuration changes under load, for the better and for the worse."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from chaos.load import Load, load
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, STDIO_TOOL, http_backend
from tests.support.gateway import Gateway
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

_RATE = 300.0
_EVERY_S = 1.0
_BROKEN = ("servers: [", "proxy: {timeout: x}", "servers:\n  - id: a\n", "\x00")


def reloads(seconds: float, findings: Findings) -> None:
    """Reload every second, each time with one server more or less."""
    with http_backend() as (port, _):
        web = {"id": "web", "url": f"http://127.0.0.1:{port}/mcp"}
        plain = zoo(web, animal("pipe", "tame"))
        more = zoo(web, animal("pipe", "tame"), animal("more", "tame"))
        with Gateway(plain, workers=2) as gateway:
            pid = gateway.server("pipe")["pid"]
            with _calls(gateway, seconds) as (calm, _):
                pass
            with _calls(gateway, seconds) as (web_calls, pipe_calls):
                count = 0
                end = time.monotonic() + seconds - _EVERY_S
                while time.monotonic() < end:
                    count += 1
                    gateway.configure(more if count % 2 else plain)
                    gateway.send(signal.SIGHUP)
                    time.sleep(_EVERY_S)
            failures = web_calls.failures | pipe_calls.failures
            findings.note(
                reloads=count, calls=web_calls.calls + pipe_calls.calls,
                failures=sum(failures.values()), p99_ms=web_calls.p99_ms, calm_p99_ms=calm.p99_ms,
                child_kept="yes" if gateway.server("pipe")["pid"] == pid else "no",
            )  # fmt: skip
            findings.expect(not failures, f"no call fails: {failures}")
            findings.expect(gateway.server("pipe")["pid"] == pid, "an unchanged child is kept")
            findings.aim(web_calls.p99_ms < 2 * calm.p99_ms, "nobody waits for it")


@contextmanager
def _calls(gateway: Gateway, seconds: float) -> Iterator[tuple[Load, Load]]:
    with (
        load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as web_calls,
        load(gateway.url, STDIO_TOOL, rate=_RATE / 3, seconds=seconds) as pipe_calls,
    ):
        yield web_calls, pipe_calls


def bad_configurations(seconds: float, findings: Findings) -> None:
    """Have the gateway read files that cannot be used, under load."""
    with http_backend() as (port, _):
        good = zoo({"id": "web", "url": f"http://127.0.0.1:{port}/mcp"})
        with Gateway(good, workers=2) as gateway:
            with load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as calls:
                for text in _BROKEN:
                    gateway.configure(text)
                    _refused(gateway)
                gateway.configure("").unlink()
                _refused(gateway)
            gateway.configure(json.dumps(good))
            findings.note(
                bad_files=len(_BROKEN) + 1, calls=calls.calls, failures=sum(calls.failures.values())
            )
            findings.expect(not calls.failures, f"no call fails: {calls.failures}")


def _refused(gateway: Gateway) -> None:
    """Have the file read, and wait until the log says that nothing was changed."""
    said = gateway.log.count("nothing was changed")
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(lambda: gateway.log.count("nothing was changed") > said, "it is refused")


SCENARIOS = (
    Scenario("reloads", "no call fails, unchanged children stay", reloads, 10),
    Scenario("bad-configurations", "a bad file changes nothing", bad_configurations, 5),
)
