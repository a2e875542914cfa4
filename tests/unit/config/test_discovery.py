"""Where a configuration is looked for."""

import os
from pathlib import Path

import pytest

from only1mcp.config.discovery import find, search_paths


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_the_first_file_that_exists_is_used(tmp_path: Path) -> None:
    """The working directory before the home directory, YAML before TOML before JSON."""
    environment = {"HOME": str(tmp_path / "home")}
    places = search_paths(environment)[:-1]
    assert find(environment) is None
    for path in reversed(places):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        assert find(environment) == path
    assert [str(path) for path in places[:4]] == [
        "only1mcp.yaml", "only1mcp.yml", "only1mcp.toml", "only1mcp.json",
    ]  # fmt: skip


def test_a_named_file_is_used_whether_it_exists_or_not(tmp_path: Path) -> None:
    """A typing error must not silently lead to another file."""
    Path("only1mcp.yaml").write_text("{}")
    named = tmp_path / "missing.yaml"
    assert find({"ONLY1MCP_CONFIG": str(named)}) == named


def test_the_xdg_folder_is_honoured(tmp_path: Path) -> None:
    """Where it is set."""
    environment = {"HOME": "/h", "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert tmp_path / "xdg/only1mcp/config.yaml" in search_paths(environment)
    assert Path("/h/.config/only1mcp/config.yaml") in search_paths({"HOME": "/h"})


def test_a_directory_of_that_name_is_no_configuration() -> None:
    """Only files count."""
    Path("only1mcp.yaml").mkdir()
    assert find({"HOME": "/nonexistent"}) is None


def test_a_pipe_of_that_name_is_not_passed_over() -> None:
    """Who put it there means something by it: whoever reads it says why that cannot be."""
    os.mkfifo("only1mcp.yaml")
    assert find({"HOME": "/nonexistent"}) == Path("only1mcp.yaml")


def test_a_link_to_nothing_is_not_passed_over() -> None:
    """The demonstration would run where a disk is missing."""
    Path("only1mcp.yaml").symlink_to("missing/only1mcp.yaml")
    assert find({"HOME": "/nonexistent"}) == Path("only1mcp.yaml")
