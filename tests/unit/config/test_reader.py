"""What the process that reads configurations answers to each job."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from only1mcp.config.loader import load
from only1mcp.config.reader import outcome_of
from only1mcp.config.settings import Settings

ENTRY = {"id": "b", "url": "http://127.0.0.1:1/mcp"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a configuration with one server."""
    path = tmp_path / "c.yaml"
    path.write_text("servers:\n  - id: a\n    url: http://127.0.0.1:1/mcp\n")
    return path


def job(path: Path | None, what: str, server: Any = None, **how: bool) -> dict[str, Any]:
    """Return a job as control writes it."""
    named = None if path is None else str(path)
    return {"what": what, "path": named, "environment": {}, "subject": server, "how": how}


def test_settings_are_those_that_the_file_says(path: Path) -> None:
    """After their trip through JSON."""
    outcome = json.loads(json.dumps(outcome_of(job(path, "load"))))
    assert Settings.from_plain(outcome["settings"]) == load(path, {})


def test_without_a_file_the_environment_decides() -> None:
    """As at the start."""
    wanted = {**job(None, "load"), "environment": {"ONLY1MCP_PROXY__PORT": "9"}}
    assert outcome_of(wanted)["settings"]["port"] == 9


def test_problems_are_told_with_their_places(path: Path) -> None:
    """So that control can print them."""
    path.write_text("prxy: 1\n")
    [problem] = outcome_of(job(path, "load"))["problems"]
    assert (problem["line"], problem["what"]) == (1, "unknown key")


def test_each_kind_of_change_is_made_in_the_file(path: Path) -> None:
    """By the function that the job names."""
    assert outcome_of(job(path, "add_server", ENTRY)) == {"changed": True}
    assert outcome_of(job(path, "switch_server", "b", enabled=False)) == {"changed": True}
    assert outcome_of(job(path, "remove_server", "a")) == {"changed": True}
    assert [server.id for server in load(path, {}).servers] == []
    assert "enabled: false" in path.read_text()


def test_what_cannot_be_changed_is_refused_with_its_reason(path: Path) -> None:
    """And the file stays as it is."""
    before = path.read_text()
    refused = outcome_of(job(path, "remove_server", "x"))["refused"]
    assert (refused["code"], refused["http_status"]) == ("NOT_FOUND", 404)
    assert path.read_text() == before


def test_a_file_that_cannot_be_written_is_told_as_such(tmp_path: Path) -> None:
    """For it is nobody's mistake in the configuration."""
    assert "os_error" in outcome_of(job(tmp_path / "none.yaml", "add_server", ENTRY))


def test_a_job_that_makes_no_sense_ends_nothing(path: Path) -> None:
    """The next one is done as well."""
    assert "KeyError" in outcome_of(job(path, "dance"))["crash"]


def test_as_a_program_it_answers_line_by_line_until_its_input_ends(path: Path) -> None:
    """Then it ends, and well."""
    text = "".join(json.dumps(job(path, what)) + "\n" for what in ("load", "dance", "load"))
    done = subprocess.run(
        [sys.executable, "-m", "only1mcp.config.reader"], input=text, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    kinds = [set(json.loads(line)) for line in done.stdout.splitlines()]
    assert kinds == [{"settings"}, {"crash"}, {"settings"}]


@pytest.mark.parametrize("what", ["load", "set_workers"])
def test_a_file_that_would_kill_a_parser_is_refused_by_name(path: Path, what: str) -> None:
    """Whether it is read or changed."""
    path.write_text("version: " + "[" * 100_000)
    [problem] = outcome_of(job(path, what, 2))["problems"]
    assert (problem["file"], problem["what"]) == (str(path), "is nested too deeply")


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    """Whether it is read or changed; nobody will ever write to it."""
    path.unlink()
    os.mkfifo(path)
    [problem] = outcome_of(job(path, "load"))["problems"]
    assert "it is a pipe" in problem["what"]
    assert "it is a pipe" in outcome_of(job(path, "set_workers", 2))["os_error"]
