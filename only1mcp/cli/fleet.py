"""The workers of a running gateway, as commands see them, and waiting for them."""

import time
from collections.abc import Callable

from only1mcp.cli.gateway import control_get
from only1mcp.cli.output import UNEXPECTED, Failure

_POLL_S = 0.05


def workers(socket_path: str) -> dict[int, str]:
    """Return the states of the workers by their pids."""
    rows = control_get("status", socket_path)["processes"]
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
    while not is_done():
        if time.monotonic() > deadline:
            raise Failure(
                code, f"{message} after {timeout_s:g} s", "see only1mcp status and the log",
                exit_code=UNEXPECTED,
            )  # fmt: skip
        time.sleep(_POLL_S)
