"""The environment of a child: little is inherited, the rest is declared."""

import os
from collections.abc import Iterable, Mapping

INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")


def child_environment(
    declared: Iterable[tuple[str, str]], ours: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return what a child gets: the inherited names that are set here, then its own."""
    inherited = {name: ours[name] for name in INHERITED if name in ours}
    return {**inherited, **dict(declared)}
