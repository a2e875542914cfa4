"""The fixtures of the tests with real servers: what they need must be installed."""

from collections.abc import Iterator

import pytest

from tests.real.http_server import HttpServer, everything
from tests.real.installed import is_complete


@pytest.fixture(scope="session", autouse=True)
def _installed() -> None:
    """Fail at once, and say what to do, where the real servers and clients are missing."""
    if not is_complete():
        pytest.fail(
            "the real servers and clients are not installed: run python scripts/install_real.py",
            pytrace=False,
        )


@pytest.fixture(scope="session")
def everything_http() -> Iterator[HttpServer]:
    """Run server-everything over HTTP."""
    with everything() as server:
        yield server
