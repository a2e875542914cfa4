"""Loads a configuration in a short-lived child.

The supervisor stays small and single-threaded: pydantic and the parsers of YAML and TOML are
imported, used and gone before the processes that serve are forked.
"""

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from only1mcp.config.problems import ConfigInvalid, problem_of
from only1mcp.config.settings import Settings


def load_isolated(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Read one file, or the defaults and the environment alone when there is none.

    Raises:
        ConfigInvalid: it cannot be used.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _load_and_exit(path, environment, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    outcome: dict[str, Any] = {"crash": "the loader ended without a word"}
    if text:
        outcome = orjson.loads(text)
    if "settings" in outcome:
        return Settings.from_plain(outcome["settings"])
    if "problems" in outcome:
        raise ConfigInvalid(problem_of(plain) for plain in outcome["problems"])
    raise RuntimeError(f"the configuration could not be loaded: {outcome['crash']}")


def _load_and_exit(path: Path | None, environment: Mapping[str, str], writing: int) -> None:
    """Be the child: write the outcome as JSON."""
    try:
        loader = importlib.import_module("only1mcp.config.loader")
        settings = (
            loader.load_text("environment", "", environment) if path is None
            else loader.load(path, environment)
        )  # fmt: skip
        outcome = {"settings": settings.to_plain()}
    except ConfigInvalid as error:
        outcome = {"problems": [problem.to_plain() for problem in error.problems]}
    except BaseException as error:  # noqa: BLE001 - the parent reports it
        outcome = {"crash": repr(error)}
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(orjson.dumps(outcome))
        sys.stderr.flush()
    finally:
        os._exit(0)
