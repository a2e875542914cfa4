"""What the servers saw in all that was tried before: whether a rule of the protocol was broken."""

import pytest

from tests.matrix.sides import BACKS, Back
from tests.matrix.stage import Stage

pytestmark = pytest.mark.real


@pytest.mark.parametrize("back", BACKS, ids=[back.id for back in BACKS])
async def test_no_server_saw_a_rule_broken(back: Back, stage: Stage) -> None:
    """No id used twice, no answer to nothing, no credentials, no message of the other era."""
    faults = {(row["what"], row["raw"][:200]) for row in stage.records[back.id].find("fault")}
    assert faults == set()
