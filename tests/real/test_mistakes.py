"""A client of an official SDK that errs is told so, and its session goes on."""

import json
import subprocess

import pytest

from tests.real.installed import PY1, ROOT
from tests.support.gateway import Gateway
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.real
CLIENT_TIMEOUT_S = 60.0


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_a_legacy_client_outlives_its_mistakes(pure: bool) -> None:
    """Each comes back as the error of that one request, not as the end of the session."""
    with Gateway(zoo(animal("a", "tame")), pure=pure) as gateway:
        done = subprocess.run(
            [PY1, "-m", "tests.real.clients.py1_mistakes", gateway.url], cwd=ROOT,
            capture_output=True, text=True, check=False, timeout=CLIENT_TIMEOUT_S,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["tools"] == ["a__whoami", "a__echo", "a__act"]
    assert [code for code, _ in said["errors"]] == [-32602, -32601, -32602, -32602]
    assert "no/such" in said["errors"][1][1]
