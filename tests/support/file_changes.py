"""Ways in which a file becomes another one."""

import os
from pathlib import Path


def write(path: Path) -> None:
    """Write over it."""
    path.write_text("new")


def replace(path: Path) -> None:
    """Put a new file in its place, as editors do; it says what the old one did."""
    draft = path.with_suffix(".new")
    draft.write_text("old")
    draft.replace(path)


def come_back(path: Path) -> None:
    """Remove it, and write it again."""
    path.unlink()
    path.write_text("again")


def touch(path: Path) -> None:
    """Make it a nanosecond younger."""
    seen = path.stat()
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1))


def turn(path: Path) -> None:
    """Lead the link `data` beside it elsewhere, as Kubernetes does with a volume."""
    draft = path.parent / "data.new"
    draft.symlink_to("two")
    draft.replace(path.parent / "data")


def volume(root: Path) -> Path:
    """Lay out a file behind two links, as Kubernetes does; `turn` turns one of them."""
    for name in ("one", "two"):
        (root / name).mkdir()
        (root / name / "c.yaml").write_text(name)
    (root / "data").symlink_to("one")
    (root / "c.yaml").symlink_to("data/c.yaml")
    return root / "c.yaml"
