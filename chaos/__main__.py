"""`python -m chaos [NAME ...] [--seconds N] [--json]`: cause faults and say what came of it."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from chaos import (
    beside,
    changes,
    clients,
    hung,
    overload,
    processes,
    servers,
    slow_http,
    soak,
    stalls,
    upgrades,
)
from chaos.scenario import Findings, Scenario
from only1mcp import __version__
from tests.support.descriptors import allow_many

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for module in (
        processes,
        servers,
        hung,
        clients,
        changes,
        upgrades,
        overload,
        slow_http,
        stalls,
        soak,
    )
    for scenario in module.SCENARIOS
}
_PAGE = """\
# Faults, caused and survived

Written by `python -m chaos --table docs/faults.md`; `make chaos` runs the scenarios alone, and
`make soak` the last of them for half an hour. Each causes its fault under load from the open-loop
generator, which records the outcome of every call: where a promise says no call, it means none.
Latencies count from when a call was due, those of refusals from when it was sent.

{machine}

Each row has the load average at its end, for on a machine that does other work as well all times
are longer. Counts are not: nothing may fail for being slow but what has a time in its promise.

| scenario | promise | | figures |
| --- | --- | --- | --- |
{rows}
"""
_NOTES, _PEERS = "\nWhat to read from it:\n", "\n## Beside nginx and haproxy\n"
_BESIDE = """
The same faults, the same calls and the same servers behind, where the three can be compared. nginx
and haproxy forward bytes and know nothing of MCP. {how}

{rows}
"""


def main() -> None:
    """Run as the arguments say; exits with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--seconds", type=float, help="how long each fault lasts")
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--table", type=Path, help="write the findings as Markdown to this file")
    parser.add_argument(
        "--found", type=Path, help="for the table: what --json printed of longer runs, instead"
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {unknown[0]!r}; known: {', '.join(SCENARIOS)}")
    allow_many()
    found = {name: run(SCENARIOS[name], arguments.seconds) for name in arguments.names or SCENARIOS}
    if arguments.as_json:
        print(json.dumps({name: vars_of(findings) for name, findings in found.items()}))
    if arguments.table:
        if arguments.found:
            longer = json.loads(arguments.found.read_text())
            found |= {name: Findings(**of) for name, of in longer.items()}
        compared = list(beside.compare(arguments.seconds))
        arguments.table.write_text(table(found, compared, notes_in(arguments.table)))
    broken = sum(bool(findings.broken or findings.missed) for findings in found.values())
    print(f"{len(found) - broken} passed, {broken} failed", file=sys.stderr)
    sys.exit(1 if broken else 0)


def run(scenario: Scenario, seconds: float | None = None) -> Findings:
    """Run one scenario and say at once what it has found."""
    findings = Findings()
    try:
        scenario.run(seconds or scenario.seconds, findings)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the next scenario is to run
        findings.broken.append(repr(error))
    findings.note(load_average=round(os.getloadavg()[0], 1))
    figures = ", ".join(f"{name} {figure}" for name, figure in findings.figures.items())
    verdict = "FAILED" if findings.broken or findings.missed else "passed"
    print(f"{verdict}  {scenario.name}: {scenario.promise}\n        {figures}", file=sys.stderr)
    for promise in findings.broken:
        print(f"        broken: {promise}", file=sys.stderr)
    for promise in findings.missed:
        print(f"        missed: {promise}", file=sys.stderr)
    return findings


def notes_in(page: Path) -> str:
    """Return what somebody has written below the table of an earlier page."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return _NOTES + text.partition(_NOTES)[2].partition(_PEERS)[0] if _NOTES in text else ""


def table(found: dict[str, Findings], compared: list[str], notes: str) -> str:
    """Write the findings as a page."""
    rows = [
        f"| `{name}` | {SCENARIOS[name].promise} | {_verdict(findings)} | "
        + ", ".join(f"{what} {figure}" for what, figure in findings.figures.items()) + " |"
        for name, findings in found.items()
    ]  # fmt: skip
    page = _PAGE.format(machine="\n".join(f"- {line}" for line in machine()), rows="\n".join(rows))
    how = " ".join((beside.__doc__ or "").split("\n\n")[1].split())
    return page + notes + _PEERS + _BESIDE.format(how=how, rows="\n".join(compared))


def _verdict(findings: Findings) -> str:
    if findings.broken:
        return "**broken**"
    return "held, aim missed" if findings.missed else "held"


def machine() -> Iterator[str]:
    """Say what all this ran on."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in cpus if "model name" in line), "unknown")
    python = platform.python_version()
    today = datetime.now(UTC).date()
    yield f"{today}, {os.cpu_count()} x {model}, Linux {platform.release()}, Python {python}"
    git = ["git", "log", "-1", "--format=%h (%s)"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    yield f"Only1MCP {__version__}, commit {done.stdout.strip() or 'unknown'}"
    for command in (["nginx", "-v"], ["haproxy", "-v"]):
        if shutil.which(command[0]):
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            yield (said.stdout + said.stderr).splitlines()[0]


def vars_of(findings: Findings) -> dict[str, object]:
    """Return findings as data for JSON."""
    return {"figures": findings.figures, "broken": findings.broken, "missed": findings.missed}


if __name__ == "__main__":
    main()
