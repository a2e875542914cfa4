"""The program in a place where another version of it can be put, and how it is upgraded."""

import shutil
from pathlib import Path
from typing import Any

import only1mcp
from tests.support.gateway import Gateway

PACKAGE = Path(only1mcp.__file__).parent


class Installed:
    """A place where the program is installed, and can be replaced."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.env = {"PYTHONPATH": str(directory / "site")}
        (directory / "site").mkdir()
        (directory / "site" / "only1mcp").symlink_to(PACKAGE)

    def install(
        self, version: str, *, broken: str = "", without: tuple[str, str] = ("", "")
    ) -> None:
        """Put another version there.

        Args:
            version: what it calls itself.
            broken: lines that may make it fail to start.
            without: a file below the package, and the line there that this version lacks.
        """
        other = self._directory / f"only1mcp-{version}"
        shutil.copytree(PACKAGE, other, ignore=shutil.ignore_patterns("__pycache__"))
        first = other / "__init__.py"
        first.write_text(first.read_text().replace(only1mcp.__version__, version) + broken)
        name, line = without
        if line:
            text = (other / name).read_text()
            assert text.count(line) == 1, f"{name} has no such line"
            (other / name).write_text(text.replace(line, "pass"))
        draft = self._directory / "site" / "draft"
        draft.symlink_to(other)
        draft.replace(self._directory / "site" / "only1mcp")


def upgrade(gateway: Gateway) -> dict[str, Any]:
    """Have the program that is installed now take over; returns what the command prints."""
    said: dict[str, Any] = gateway.command("upgrade", "--port", str(gateway.port), "--json")
    return said
