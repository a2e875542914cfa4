"""What holds for every test."""

import signal
from collections.abc import Iterator

import hypothesis
import pytest

from tests.support.descriptors import allow_many
from tests.support.fork_server import ForkServers
from tests.support.gateway import Gateway

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")  # how long an example takes, others' load decides


allow_many()


@pytest.fixture(scope="session", autouse=True)
def _programs_hear_ctrl_c() -> None:
    """Let the programs that tests start hear SIGINT.

    A shell starts background jobs with SIGINT ignored, and that is inherited through every exec; a
    handler of our own is not, so that they begin with the default.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def fork_servers() -> Iterator[ForkServers]:
    """Processes that have imported the program."""
    servers = ForkServers()
    yield servers
    servers.close()


@pytest.fixture(scope="module", autouse=True)
def _gateways_begin_as_forks(
    request: pytest.FixtureRequest, fork_servers: ForkServers
) -> Iterator[None]:
    """Start gateways quickly, but for modules that are marked with `first_line`."""
    if request.node.get_closest_marker("first_line") is None:
        Gateway.fork_servers = fork_servers
    yield
    Gateway.fork_servers = None
