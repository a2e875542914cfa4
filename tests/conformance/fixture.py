"""The server of the suite as a process: what a gateway under test stands in front of."""

from tests.real.installed import PY2
from tests.support.own_server import OwnServer


class Fixture(OwnServer):
    """Runs `tests.support.conformance_server` for the time of a `with` block.

    Args:
        era: the revisions that it speaks: dual, modern or legacy.
    """

    def __init__(self, era: str = "dual") -> None:
        super().__init__([PY2, "-m", "tests.support.conformance_server", "--era", era])
