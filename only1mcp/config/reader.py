"""Reads and changes configuration files for a process that holds no parsers; run as a program.

It takes a job from each line of its input, and answers with a line. When the input ends it ends.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from only1mcp.config import edit, loader, store
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.refusals import EditRefused
from only1mcp.config.settings import Settings

_EDITS: dict[str, Callable[..., str]] = {
    "add_server": edit.add_server, "remove_server": edit.remove_server,
    "switch_server": edit.switch_server, "set_workers": edit.set_workers,
}  # fmt: skip


def load(path: str | None, environment: dict[str, str]) -> Settings:
    """Read one file, or the defaults and the environment alone when there is none.

    Raises:
        ConfigInvalid: it cannot be used.
    """
    if path is None:
        return loader.load_text("environment", "", environment)
    return loader.load(Path(path), environment)


def outcome_of(job: dict[str, Any]) -> dict[str, Any]:
    """Do a job; returns what came of it, in a form for JSON."""
    path, environment = job["path"], job["environment"]
    try:
        if job["what"] == "load":
            return {"settings": load(path, environment).to_plain()}
        store.change_file(Path(path), partial(_edited, job), environment, is_served=True)
    except ConfigInvalid as error:
        return {"problems": [problem.to_plain() for problem in error.problems]}
    except EditRefused as error:
        said = {"message": str(error), "hint": error.hint}
        return {"refused": {**said, "code": error.code, "http_status": error.http_status}}
    except OSError as error:
        return {"os_error": str(error)}
    except Exception as error:  # noqa: BLE001 - who asked reports it
        return {"crash": repr(error)}
    return {"changed": True}


def _edited(job: dict[str, Any], file: str, text: str) -> str:
    return _EDITS[job["what"]](file, text, job["subject"], **job["how"])


def main() -> None:
    """Do one job after the other."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(orjson.dumps(outcome_of(orjson.loads(line))) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
