"""The official conformance suite, run as a program; what it found is read from its files."""

import json
import re
import subprocess
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.real.installed import FOLDER, NODE, ROOT

NEWEST = FOLDER / "node_modules/@modelcontextprotocol/conformance"
"""All revisions, and the checks of everything on the wire against the schemas."""
FIRST = FOLDER / "node_modules/conformance-0.1"
"""The suite of 2025-11-25, which has scenarios of its own."""

RUN_S = 200.0
OUT_OF_TIME = -1
"""The code of a run that did not end; what it had found by then still counts."""
_CLIENT_MS = 90_000
"""More than a client with a gateway of its own can take: the suite leaves behind what it ends."""
_FOLDER = re.compile(r"(?:server-)?(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass(frozen=True)
class Check:
    """One thing that the suite looked at."""

    scenario: str
    name: str
    status: str
    message: str

    @property
    def is_good(self) -> bool:
        """Whether it was looked at and found right. The suite itself is content with SKIPPED."""
        return self.status in {"SUCCESS", "INFO"}

    def __str__(self) -> str:
        return f"{self.scenario}: {self.status} {self.name}: {self.message}"


@dataclass(frozen=True)
class Verdict:
    """What came of one run."""

    code: int
    checks: Sequence[Check]
    scenarios: frozenset[str]
    output: str

    def complaints(self, scenarios: Container[str], excused: Container[str] = ()) -> list[str]:
        """Return what was not good in these scenarios, apart from checks of excused names."""
        return [
            str(check)
            for check in self.checks
            if check.scenario in scenarios and not check.is_good and check.name not in excused
        ]


def judge_server(folder: Path, url: str, *arguments: str, package: Path = NEWEST) -> Verdict:
    """Run the suite against a server; the folder takes what it writes."""
    return _run(package, folder, "server", "--url", url, *arguments)


def judge_client(folder: Path, command: str, scenario: str, version: str) -> Verdict:
    """Run one scenario of the suite with a client, to whose command the suite adds a URL."""
    return _run(
        NEWEST, folder, "client", "--command", command, "--scenario", scenario,
        "--spec-version", version, "--timeout", str(_CLIENT_MS),
    )  # fmt: skip


def required_scenarios(version: str) -> frozenset[str]:
    """Return the server scenarios that a revision requires, as the suite has them on record."""
    recorded = yaml.safe_load((NEWEST / "requirements" / f"{version}.yaml").read_text())
    return frozenset(recorded["server"])


def _run(package: Path, folder: Path, *arguments: str) -> Verdict:
    command = [NODE, str(package / "dist/index.js"), *arguments, "-o", str(folder)]
    said = folder / "output"
    with said.open("w") as output:
        try:
            code = subprocess.run(
                command, cwd=ROOT, stdout=output, stderr=output, check=False, timeout=RUN_S
            ).returncode
        except subprocess.TimeoutExpired:
            code = OUT_OF_TIME
    found = {file.parent: json.loads(file.read_text()) for file in folder.rglob("checks.json")}
    checks = [_read(file, raw) for file, all_of_them in found.items() for raw in all_of_them]
    return Verdict(code, checks, frozenset(map(_scenario, found)), said.read_text())


def _read(folder: Path, raw: dict[str, Any]) -> Check:
    message = raw.get("errorMessage") or json.dumps(raw.get("details"))
    return Check(_scenario(folder), raw["name"], raw["status"], message[:500])


def _scenario(folder: Path) -> str:
    matched = _FOLDER.fullmatch(folder.name)
    assert matched, folder.name
    return matched["scenario"]
