"""The gateway as the suite's client: `python -m tests.conformance.harness URL`.

The suite plays a server at this URL and judges who calls it. That is the gateway, with the URL as
its only server; behind the gateway stands `tests.conformance.client`.
"""

import os
import subprocess
import sys

from tests.real.installed import PY2, ROOT
from tests.support.gateway import Gateway

CLIENT_TIMEOUT_S = 20.0
LEGACY = "2025-11-25"
SCENARIO, VERSION = "MCP_CONFORMANCE_SCENARIO", "MCP_CONFORMANCE_PROTOCOL_VERSION"


def main(url: str) -> None:
    """Start the gateway and have the client call through it."""
    with Gateway({"servers": [{"id": "suite", "url": url, "prefix": "none"}]}) as gateway:
        for version in _versions():
            failure = _play(gateway.url, version)
            if failure:
                sys.exit(f"{failure}; the gateway's log ends: {gateway.log[-1500:]}")


def _versions() -> list[str]:
    """Return the revisions that the client speaks, one after the other."""
    asked = os.environ[VERSION]
    if os.environ[SCENARIO] == "http-invalid-tool-headers":
        # A modern client drops the bad tools itself; a legacy one calls all that the gateway lists.
        return [asked, LEGACY]
    return [asked]


def _play(url: str, version: str) -> str:
    """Run the client and return what went wrong, if anything did."""
    try:
        done = subprocess.run(
            [PY2, "-m", "tests.conformance.client", url], cwd=ROOT, check=False,
            env={**os.environ, VERSION: version}, timeout=CLIENT_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "the client still waited for an answer when its time was up"
    return f"the client ended with code {done.returncode}" if done.returncode else ""


if __name__ == "__main__":
    main(sys.argv[-1])
