"""Clients that are slow, many, or more than there is room for."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from chaos.load import load
from chaos.measures import rss_mib
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, site
from tests.support.gateway import Gateway
from tests.support.waiting import wait_until

_RATE = 300.0
_SLOW = 400
_FILES = 256
_THERE = 8


def slow_heads(seconds: float, findings: Findings) -> None:
    """Hold many connections open that send a header now and then, as slowloris does."""
    limits = {"header_timeout": "1s"}
    with site(2, limits=limits) as gateway:
        with ExitStack() as stack:
            slow = [stack.enter_context(_connect(gateway)) for _ in range(_SLOW)]
            with load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as others:
                _send_slowly(slow, seconds)
            closed = sum(_is_closed(one) for one in slow)
        findings.note(
            slow_clients=_SLOW, cut_off=closed, calls_of_others=others.calls,
            their_failures=sum(others.failures.values()), their_p99_ms=others.p99_ms,
        )  # fmt: skip
        findings.expect(not others.failures, f"others are served: {others.failures}")
        findings.expect(closed == _SLOW, "each slow one is cut off")


def _send_slowly(slow: list[socket.socket], seconds: float) -> None:
    """Send the beginning of a head, then a line of it every half second."""
    end = time.monotonic() + seconds
    line = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n"
    while time.monotonic() < end:
        for one in slow:
            try:
                one.send(line)
            except OSError:
                continue  # it was cut off
        line = b"User-Agent: slow\r\n"
        time.sleep(0.5)


def _is_closed(one: socket.socket) -> bool:
    one.settimeout(1.0)
    try:
        while one.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def _connect(gateway: Gateway) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as one:
        yield one


def few_descriptors(seconds: float, findings: Findings) -> None:
    """Let the gateway open few files, and connect more clients than that."""
    wrapper = ("prlimit", f"--nofile={_FILES}:{_FILES}")
    with site(1, wrapper=wrapper) as gateway:
        with load(
            gateway.url, HTTP_TOOL, rate=_RATE / 3, seconds=seconds, connections=_THERE, most=_THERE
        ) as early:  # one more connection would be one too many, like the crowd's
            wait_until(lambda: early.process.poll() is None, "the generator runs")
            time.sleep(seconds / 4)
            with ExitStack() as crowd:
                many = [crowd.enter_context(_connect(gateway)) for _ in range(4 * _FILES)]
                answers = [_first_bytes(one) for one in many]
        refused = sum(answer.startswith(b"HTTP/1.1 503") for answer in answers)
        silent = sum(answer == b"closed" for answer in answers)
        findings.note(
            files=_FILES, clients=len(many), refused_with_503=refused, closed_without_a_word=silent,
            calls_of_others=early.calls, their_failures=sum(early.failures.values()),
        )  # fmt: skip
        findings.expect(not early.failures, f"who is there is served: {early.failures}")
        findings.expect(silent == 0, "nobody is closed without a word")
        with load(gateway.url, HTTP_TOOL, rate=50, seconds=1, connections=4) as late:
            pass
        findings.expect(not late.failures, "it has recovered when they have gone")


def _first_bytes(one: socket.socket) -> bytes:
    """Return what is said to a client that says nothing: `open` when that is nothing so far."""
    one.settimeout(0.02)
    try:
        return one.recv(256) or b"closed"
    except TimeoutError:
        return b"open"
    except OSError:
        return b"closed"


def slow_readers(seconds: float, findings: Findings) -> None:
    """Ask for much, and read nothing of it."""
    with site(1) as gateway, ExitStack() as stack:
        pid = gateway.pids("worker")[0]
        body = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
             "params": {"name": "pipe__echo", "arguments": {"text": "x" * 500_000}}}
        ).encode()  # fmt: skip
        before = rss_mib(pid)
        with load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as others:
            for _ in range(50):
                one = stack.enter_context(_connect(gateway))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                head = (
                    f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    f"Accept: application/json, text/event-stream\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n"
                )
                one.sendall(head.encode() + body)
        grown = rss_mib(pid) - before
        findings.note(
            slow_readers=50, worker_grew_mib=round(grown), calls_of_others=others.calls,
            their_failures=sum(others.failures.values()),
        )  # fmt: skip
        findings.expect(not others.failures, f"others are served: {others.failures}")
        findings.expect(grown < 150, "what is kept for them is bounded")


SCENARIOS = (
    Scenario("slow-heads", "clients that dribble are cut off, others are served", slow_heads, 4),
    Scenario("slow-readers", "who does not read costs bounded memory", slow_readers, 3),
    Scenario("few-descriptors", "nobody is closed without a word", few_descriptors, 4),
)
