"""The workers of a running gateway, as commands see them, and waiting for them.

Whatever a command waits for, the gateway goes on with it when its control process is replaced.
"""

import time
from collections.abc import Callable
from typing import Any

from only1mcp.cli.gateway import CONTROL_GONE, control_get
from only1mcp.cli.output import UNEXPECTED, UNREACHABLE, Failure
from only1mcp.links.runtime_dir import RuntimeDir

_POLL_S = 0.05


def record_of(instance: RuntimeDir) -> dict[str, Any]:
    """Return what a gateway says of itself now: another program may have taken over.

    Raises:
        Failure: it has ended.
    """
    record = instance.read_record()
    if record is None:
        raise Failure(
            "GATEWAY_ENDED", "the gateway has ended meanwhile",
            "see its log, and start it: only1mcp start", exit_code=UNREACHABLE,
        )  # fmt: skip
    return record


def workers(instance: RuntimeDir) -> dict[int, str]:
    """Return the states of the workers by their pids."""
    rows = control_get("status", record_of(instance)["control"])["processes"]
    return {row["pid"]: row["state"] for row in rows if row["role"] == "worker"}


def serving(of_all: dict[int, str]) -> dict[int, str]:
    """Return those that are not on their way out."""
    return {pid: state for pid, state in of_all.items() if state != "draining"}


def wait_until(is_done: Callable[[], bool], timeout_s: float, code: str, message: str) -> None:
    """Look again and again until it is done.

    Raises:
        Failure: of this code and message, when it is not within the time.
    """
    deadline = time.monotonic() + timeout_s
    while not _answers(is_done):
        if time.monotonic() > deadline:
            raise Failure(
                code, f"{message} after {timeout_s:g} s", "see only1mcp status and the log",
                exit_code=UNEXPECTED,
            )  # fmt: skip
        time.sleep(_POLL_S)


def _answers(is_done: Callable[[], bool]) -> bool:
    """Say whether it is done; while nobody can be asked it is not."""
    try:
        return is_done()
    except Failure as failure:
        if failure.code != CONTROL_GONE:
            raise
        return False
