"""The official suite, which must be installed."""

import pytest

from tests.conformance.suite import FIRST, NEWEST
from tests.real.installed import is_complete


@pytest.fixture(scope="session", autouse=True)
def _installed() -> None:
    """Fail at once, and say what to do, where the suite or the SDK is missing."""
    if not (is_complete() and FIRST.is_dir() and NEWEST.is_dir()):
        pytest.fail(
            "the conformance suite is not installed: run python scripts/install_real.py",
            pytrace=False,
        )
