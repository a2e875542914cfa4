"""Loading in a child: the same answers, and nothing of the parsers left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from only1mcp.config.isolated import load_isolated
from only1mcp.config.loader import load
from only1mcp.config.problems import ConfigInvalid


def test_the_settings_are_the_same_as_without_the_detour(tmp_path: Path) -> None:
    """Every value survives."""
    path = tmp_path / "c.yaml"
    path.write_text("servers: [{id: a, command: python3, env: {A: b}}]\nproxy: {timeout: 3s}\n")
    assert load_isolated(path, {}) == load(path, {})


def test_without_a_file_the_environment_alone_decides() -> None:
    """As for the demonstration in a container."""
    assert load_isolated(None, {"ONLY1MCP_PROXY__PORT": "9"}).port == 9


def test_all_problems_come_back_with_their_places(tmp_path: Path) -> None:
    """The parent can print them as if it had found them itself."""
    path = tmp_path / "c.yaml"
    path.write_text("prxy: 1\nproxy:\n  port: x\n")
    with pytest.raises(ConfigInvalid) as isolated:
        load_isolated(path, {})
    with pytest.raises(ConfigInvalid) as direct:
        load(path, {})
    assert isolated.value.problems == direct.value.problems


def test_the_parsers_are_never_loaded_here(tmp_path: Path) -> None:
    """The process that forks all others stays small."""
    path = tmp_path / "c.yaml"
    path.write_text("proxy: {port: 9}\n")
    code = (
        "import sys; from pathlib import Path; from only1mcp.config.isolated import load_isolated;"
        f"print(load_isolated(Path({str(path)!r}), {{}}).port,"
        " sorted({'pydantic', 'yaml', 'tomllib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "9 []"
