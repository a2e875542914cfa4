"""What holds for every test."""

import signal

import hypothesis
import pytest

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")  # how long an example takes, others' load decides


@pytest.fixture(scope="session", autouse=True)
def _programs_hear_ctrl_c() -> None:
    """Let the programs that tests start hear SIGINT.

    A shell starts background jobs with SIGINT ignored, and that is inherited through every exec; a
    handler of our own is not, so that they begin with the default.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
