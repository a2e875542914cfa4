"""The released revisions of MCP, in two eras.

Legacy revisions open with `initialize` and keep a session; the modern one is stateless, every
request describing itself (2026-07-28, basic/versioning).
"""

from enum import Enum


class Era(Enum):
    """Which of the two shapes of the protocol a party speaks."""

    LEGACY = "legacy"
    MODERN = "modern"


LEGACY_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS = ("2026-07-28",)
NEWEST_LEGACY = LEGACY_VERSIONS[-1]
NEWEST_MODERN = MODERN_VERSIONS[-1]


def negotiate(requested: object) -> str:
    """Answer `initialize`: the requested revision if we speak it, else our newest legacy one."""
    if isinstance(requested, str) and requested in LEGACY_VERSIONS:
        return requested
    return NEWEST_LEGACY
