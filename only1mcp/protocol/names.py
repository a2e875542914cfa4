"""Names of tools and prompts as clients see them: `<prefix>__<name>`.

The separator and the limits follow 2026-07-28, server/tools (Tool names): 1-128 characters of
letters, digits, `_`, `-` and `.`.
"""

import hashlib
import re

SEPARATOR = "__"
MAX_LENGTH = 128
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


def qualify(prefix: str, name: str) -> str:
    """Join a server's prefix and a bare name; an empty prefix leaves the name as it is."""
    if not prefix:
        return name
    return shorten(f"{prefix}{SEPARATOR}{name}")


def shorten(name: str) -> str:
    """Cut a name that is too long, ending it with a hash of the whole so that it stays unique."""
    if len(name) <= MAX_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MAX_LENGTH - 9]}_{digest}"


def server_id(label: str) -> str:
    """Make an id of a server's display name, as clients' own files use them ("My Server")."""
    return _UNFIT.sub("_", label).strip("_.-")[:64]
