"""Which revision is spoken."""

import pytest

from only1mcp.protocol.versions import LEGACY_VERSIONS, NEWEST_LEGACY, negotiate


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
def test_a_legacy_revision_that_we_speak_is_echoed(version: str) -> None:
    """The client gets what it asked for."""
    assert negotiate(version) == version


@pytest.mark.parametrize("version", ["2026-07-28", "2024-10-07", "", "1", None, 3, ["2025-11-25"]])
def test_anything_else_is_answered_with_our_newest_legacy_revision(version: object) -> None:
    """Modern revisions have no handshake, so `initialize` never agrees on one."""
    assert negotiate(version) == NEWEST_LEGACY
