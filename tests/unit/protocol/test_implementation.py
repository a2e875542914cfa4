"""What we say of ourselves."""

from only1mcp import __version__
from only1mcp.protocol.implementation import IMPLEMENTATION


def test_our_version_is_that_of_the_package() -> None:
    """In one place, for clients and servers alike."""
    assert IMPLEMENTATION["version"] == __version__
    assert IMPLEMENTATION["name"] == "only1mcp"
