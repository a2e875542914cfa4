"""One of fifty servers hangs."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

from chaos.load import Load, load
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, http_backend, site
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.waiting import wait_until

_OTHERS, _RATE, _OWN_RATE = 48, 300.0, 6.0
"""Servers besides the one that is called and the one that hangs; all are called equally often, but
for the measurement all the calls to others go to one.
"""
_REST_S, _HANG_S = 1.0, 3.0
_TURN_S = 25.0
"""One turn tells little: where nothing hangs, too, p99 of one is 0.8 to 1.3 of the other's."""
_UNTOUCHED = 1.1
"""So many times the calm p99 is as good as the same."""
_LOOK_S = 0.25
"""So rarely, for who asks for the state takes CPU time from the calls that are measured."""
_THRESHOLD, _TIMEOUT_S = 5, 1
_SWIFT = {"interval": "250ms", "timeout": "250ms", "failure_threshold": 2}
_MOST_WAIT = 2 * _THRESHOLD + _OWN_RATE * _TIMEOUT_S
"""So many calls may run into a hang: those that open the breaker, those that are under way then,
and five more for a machine that is late.
"""
_BACK_S = 5.0
_TIMED_OUT = "error 32002"


@dataclass(frozen=True, slots=True)
class _Turn:
    """A time in which a server hangs again and again."""

    back_s: list[float]
    """After each hang, how long it took until the server was seen up and a call went well."""
    others: Load
    """Calls to another server behind the same gateway."""
    calm: Load
    """The same calls, where none hangs."""
    own: Load
    """Calls to the server itself."""


def hung_server(seconds: float, findings: Findings) -> None:
    """Stop one of several servers with SIGSTOP under load, again and again.

    Two gateways have the same calls at the same time; they take turns in having a server that hangs
    and one that does not. What the machine does to calls, it does to both.
    """
    with (
        http_backend() as (port, process), _fifty(port) as gateway,
        http_backend() as (other_port, other_process), _fifty(other_port) as other,
    ):  # fmt: skip
        gateways, pids = (gateway, other), (process.pid, other_process.pid)
        many = max(int(seconds / _TURN_S) & ~1, 1)
        with _calls(gateway, seconds / many) as (before, _), _calls(other, seconds / many):
            pass
        turns = [
            _hang_again_and_again(pids, gateways, turn % 2, seconds / many) for turn in range(many)
        ]
    _judge(turns, before.p99_ms, findings)


def _judge(turns: list[_Turn], before_ms: float, findings: Findings) -> None:
    failed = [one.failures for turn in turns for one in (turn.others, turn.calm) if one.failures]
    hangs = sum(len(one.back_s) for one in turns)
    timed_out = sum(one.own.failures.get(_TIMED_OUT, 0) for one in turns)
    ratios = [one.others.p99_ms / one.calm.p99_ms for one in turns]
    p99_ms = geometric_mean(one.others.p99_ms for one in turns)
    longest_s = max(max(one.back_s) for one in turns)
    findings.note(
        times=hangs, calls_to_others=sum(one.others.calls for one in turns),
        their_failures=sum(sum(kinds.values()) for kinds in failed),
        their_p99_ms=round(p99_ms, 2),
        calm_p99_ms=round(geometric_mean(one.calm.p99_ms for one in turns), 2),
        before_p99_ms=before_ms, ratio=round(geometric_mean(ratios), 2),
        ratios=" ".join(f"{ratio:.2f}" for ratio in ratios),
        calls_to_it=sum(one.own.calls for one in turns),
        its_failures=sum(sum(one.own.failures.values()) for one in turns),
        that_waited=timed_out, longest_until_back_s=round(longest_s, 2),
    )  # fmt: skip
    findings.expect(not failed, f"others are served on: {failed}")
    late = any("timeout" in one.own.failures for one in turns)
    findings.expect(not late, "its calls end at their own timeout")
    findings.expect(timed_out <= hangs * _MOST_WAIT, "few calls wait before the breaker opens")
    findings.aim(geometric_mean(ratios) <= _UNTOUCHED, "others do not wait longer")
    findings.aim(p99_ms < 2 * before_ms, "nor does the machine keep both")
    findings.aim(longest_s < _BACK_S, "it is called again soon")


def _hang_again_and_again(
    pids: tuple[int, int], gateways: tuple[Gateway, Gateway], turn: int, seconds: float
) -> _Turn:
    """Stop the server of one gateway and let it go on, at least once, while all are called.

    Whose turn it is makes no difference to the order in which the calls begin: who is first has
    those of others begin beside its own.
    """
    pid, hit, calm = pids[turn], gateways[turn], gateways[1 - turn]
    with _calls(gateways[0], seconds) as first, _calls(gateways[1], seconds) as second:
        end, back_s = time.monotonic() + seconds, list[float]()
        while not back_s or time.monotonic() + _HANG_S + _REST_S < end:
            time.sleep(_REST_S)
            os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            _wait_for("down", hit, calm)
            time.sleep(max(began + _HANG_S - time.monotonic(), 0))
            os.kill(pid, signal.SIGCONT)
            began = time.monotonic()
            _wait_for("up", hit, calm)
            _wait_to_be_served(hit, calm)
            back_s.append(time.monotonic() - began)
    (others, own), (beside, _) = (first, second) if turn == 0 else (second, first)
    return _Turn(back_s, others, beside, own)


@contextmanager
def _fifty(port: int) -> Iterator[Gateway]:
    """Run a gateway before as many servers, of which one has this port."""
    hung = {**_declared("hung", port), "timeout": f"{_TIMEOUT_S}s", "health_check": _SWIFT,
            "circuit_breaker": {"failure_threshold": _THRESHOLD}}  # fmt: skip
    with http_backend() as (shared, _):
        others = [_declared(f"other{number}", shared) for number in range(_OTHERS)]
        with site(2, hung, *others) as gateway:
            gateway.wait_up("hung", *(other["id"] for other in others))
            yield gateway


def _declared(server_id: str, port: int) -> dict[str, Any]:
    return {"id": server_id, "url": f"http://127.0.0.1:{port}/mcp"}


def _wait_for(state: str, hit: Gateway, calm: Gateway) -> None:
    """Wait for a server's state; who asks takes time from calls, so the other one is asked, too."""

    def is_so() -> bool:
        calm.server("hung")
        return bool(hit.server("hung")["state"] == state)

    wait_until(is_so, f"it is {state}", step_s=_LOOK_S)


def _wait_to_be_served(hit: Gateway, calm: Gateway) -> None:
    with McpClient(hit.port) as client, McpClient(calm.port) as other:

        def is_served() -> bool:
            other.call("hung__echo", text="calm")
            try:
                client.call("hung__echo", text="hit")
            except CallFailed:
                return False
            return True

        wait_until(is_served, "it is called again", step_s=_LOOK_S)


@contextmanager
def _calls(gateway: Gateway, seconds: float) -> Iterator[tuple[Load, Load]]:
    """Call another server, and the one that hangs."""
    with (
        load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as others,
        load(gateway.url, "hung__echo", rate=_OWN_RATE, seconds=seconds, timeout_s=5) as own,
    ):
        yield others, own


SCENARIOS = (Scenario("hung-server", "SIGSTOP of one server delays nobody else", hung_server, 200),)
