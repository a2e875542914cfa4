"""Short forms of what `make chaos` runs for longer.

Not `slowhttptest`, which Debian's package manager installs, nor `busy-worker`, all of whose aims
are in time: tests of `only1mcp.resilience.overload` and of refusals hold its rules.
"""

import pytest

from chaos.__main__ import SCENARIOS, run

pytestmark = pytest.mark.first_line

SECONDS = {
    "worker-kills": 2.0, "host-kills": 3.0, "control-kills": 2.0, "supervisor-kill": 1.0,
    "hung-server": 3.0, "bad-children": 5.0, "bad-network": 5.0, "slow-heads": 3.0,
    "busy-server": 4.0, "failing-server": 3.0, "stalls": 5.0, "soak": 25.0, "slow-readers": 2.0,
    "bad-configurations": 4.0, "reloads": 4.0, "few-descriptors": 3.0, "upgrades": 5.0,
    "restarts": 4.0,
}  # fmt: skip


@pytest.mark.parametrize("name", SECONDS)
def test_the_gateway_keeps_its_promises_while_faults_are_caused(name: str) -> None:
    """No promise of the scenario is broken."""
    findings = run(SCENARIOS[name], SECONDS[name])
    assert findings.broken == []
    assert findings.figures
