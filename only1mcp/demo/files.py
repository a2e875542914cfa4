"""`demo-files`: a folder, to be read only."""

from pathlib import Path
from typing import Any

from only1mcp.demo.mcp import Tool

_MAX_BYTES = 64 * 1024
_MAX_FILES = 200
_PATH = {"type": "string", "description": "Path below the folder"}


def make_tools(root: Path) -> list[Tool]:
    """Return tools that reach what lies below `root`, and nothing else."""
    root = root.resolve()

    def inside(path: str) -> Path:
        target = (root / path).resolve()
        if not target.is_relative_to(root):
            raise ValueError(f"{path!r} is outside of the folder")
        return target

    def listing(path: str = ".") -> list[dict[str, Any]]:
        entries = sorted(inside(path).iterdir())[:_MAX_FILES]
        return [
            {"name": entry.name, "kind": "folder" if entry.is_dir() else "file",
             "bytes": entry.lstat().st_size}
            for entry in entries
        ]  # fmt: skip

    def read(path: str) -> str:
        with inside(path).open("rb") as file:
            return file.read(_MAX_BYTES).decode(errors="replace")

    def search(text: str) -> list[str]:
        found = []
        for file in sorted(root.rglob("*"))[: 10 * _MAX_FILES]:
            if file.is_file() and file.resolve().is_relative_to(root):
                with file.open("rb") as opened:
                    if text.encode() in opened.read(_MAX_BYTES):
                        found.append(str(file.relative_to(root)))
        return found[:_MAX_FILES]

    return [
        Tool("list", "List the files of a folder.", listing, {"path": _PATH}),
        Tool("read", "Read a file, its first 64 KiB.", read, {"path": _PATH}, ("path",)),
        Tool("search", "Find the files that contain a text.", search,
             {"text": {"type": "string", "description": "What to look for"}}, ("text",)),
    ]  # fmt: skip
