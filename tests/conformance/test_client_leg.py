"""The suite as the gateway's server: it judges what the gateway sends."""

import shlex
import sys
from pathlib import Path

import pytest

from tests.conformance.scenarios import CLIENT_SCENARIOS, ClientScenario
from tests.conformance.suite import RUN_S, judge_client

pytestmark = [pytest.mark.real, pytest.mark.timeout(RUN_S + 60)]
HARNESS = shlex.join([sys.executable, "-m", "tests.conformance.harness"])


@pytest.mark.parametrize("scenario", CLIENT_SCENARIOS, ids=str)
def test_the_gateway_is_a_good_client(scenario: ClientScenario, tmp_path: Path) -> None:
    """What it sends to a server on behalf of its own client is what the revision demands."""
    verdict = judge_client(tmp_path, HARNESS, scenario.name, scenario.version)
    complaints = verdict.complaints({scenario.name}, scenario.may_be_skipped)
    assert not complaints, "\n".join(complaints)
    assert verdict.checks, verdict.output
    assert verdict.code == 0, verdict.output
