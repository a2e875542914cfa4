"""What commands ask of a running gateway's admin API, and how they fail when it says no."""

import json
from pathlib import Path
from typing import Any

from only1mcp.cli.gateway import control_send
from only1mcp.cli.output import CONFLICT, INVALID, NOT_FOUND, UNEXPECTED, Failure
from only1mcp.cli.settings import invalid
from only1mcp.config.problems import ConfigInvalid, problem_of

_EXITS = {
    "EXISTS": CONFLICT, "BEING_WRITTEN": CONFLICT, "UPGRADE_UNDER_WAY": CONFLICT,
    "HANDED_OVER": CONFLICT, "OVERRIDDEN": CONFLICT, "NO_CONFIG": CONFLICT, "NOT_FOUND": NOT_FOUND,
    "CONFIG_INVALID": INVALID, "EMPTY_FILE": INVALID, "RELOAD_FAILED": INVALID,
}  # fmt: skip


def ask(method: str, path: str, socket_path: Path | str, body: Any = None) -> Any:
    """Have a running gateway do something; returns its answer.

    Raises:
        Failure: it does not answer, or says no.
    """
    status, answer = control_send(method, path, socket_path, body=body)
    if status < 400:
        return answer
    error = answer.get("error")
    if error is None:  # another program than ours may be running still, just before an upgrade
        hint = "see only1mcp status: it may be of another version"
        raise Failure("REFUSED", f"the gateway has refused: {json.dumps(answer)[:1000]}", hint)
    if error.get("problems"):
        problems = ConfigInvalid(problem_of(plain) for plain in error["problems"])
        raise invalid(problems, error["message"] if error.get("written") else "")
    raise Failure(error["code"], error["message"], error["hint"], exit_code=exit_of(error["code"]))


def exit_of(code: str) -> int:
    """Return the exit code of a command that was refused for this."""
    return _EXITS.get(code, UNEXPECTED)
