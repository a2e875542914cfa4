"""The suite's scenarios of the tasks extension, which it runs without counting them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.suite import judge_server
from tests.support.gateway import Gateway
from tests.support.task_site import TaskSite

pytestmark = pytest.mark.real
CHECKS = {
    "lifecycle": 9, "capability-negotiation": 5, "wire-fields": 4, "request-state-removal": 3,
    "mrtr-input": 4, "request-headers": 5, "dispatch-and-envelope": 9, "required-task-error": 3,
    "mrtr-composition": 2,
}  # fmt: skip
"""How many checks each scenario has. The one of status notifications has only a promise of any."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run a gateway in front of a server with tasks."""
    with TaskSite() as site:
        config = {"servers": [{"id": "suite", "url": site.url, "prefix": "none"}]}
        with Gateway(config, workers=2) as running:
            yield running


@pytest.mark.parametrize("scenario", CHECKS)
def test_the_gateway_relays_tasks_as_the_extension_demands(
    scenario: str, gateway: Gateway, tmp_path: Path
) -> None:
    """What it adds to a conformant server takes nothing away."""
    verdict = judge_server(
        tmp_path, gateway.url, "--scenario", f"tasks-{scenario}", "--spec-version", "2026-07-28",
        "--force",
    )  # fmt: skip
    assert verdict.complaints({f"tasks-{scenario}"}) == []
    assert (verdict.code, len(verdict.checks)) == (0, CHECKS[scenario]), verdict.output
