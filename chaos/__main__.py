"""`python -m chaos [NAME ...] [--seconds N] [--json]`: cause faults and say what came of it."""

import argparse
import json
import sys
from pathlib import Path

from chaos import changes, clients, processes, servers, upgrades
from chaos.scenario import Findings, Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for module in (processes, servers, clients, changes, upgrades)
    for scenario in module.SCENARIOS
}
_PAGE = """\
# Faults, caused and survived

Written by `python -m chaos --table docs/faults.md`; `make chaos` runs the same. Each scenario
causes its fault under load from the open-loop generator, which records the outcome of every call.

| scenario | promise | | figures |
| --- | --- | --- | --- |"""


def main() -> None:
    """Run as the arguments say; exits with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--seconds", type=float, help="how long each fault lasts")
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--table", type=Path, help="write the findings as Markdown to this file")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {unknown[0]!r}; known: {', '.join(SCENARIOS)}")
    found = {name: run(SCENARIOS[name], arguments.seconds) for name in arguments.names or SCENARIOS}
    if arguments.as_json:
        print(json.dumps({name: vars_of(findings) for name, findings in found.items()}))
    if arguments.table:
        arguments.table.write_text(table(found))
    broken = sum(bool(findings.broken) for findings in found.values())
    print(f"{len(found) - broken} passed, {broken} failed", file=sys.stderr)
    sys.exit(1 if broken else 0)


def run(scenario: Scenario, seconds: float | None = None) -> Findings:
    """Run one scenario and say at once what it has found."""
    findings = Findings()
    try:
        scenario.run(seconds or scenario.seconds, findings)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the next scenario is to run
        findings.broken.append(repr(error))
    figures = ", ".join(f"{name} {figure}" for name, figure in findings.figures.items())
    verdict = "FAILED" if findings.broken else "passed"
    print(f"{verdict}  {scenario.name}: {scenario.promise}\n        {figures}", file=sys.stderr)
    for promise in findings.broken:
        print(f"        broken: {promise}", file=sys.stderr)
    return findings


def table(found: dict[str, Findings]) -> str:
    """Write the findings as a page."""
    rows = [
        f"| `{name}` | {SCENARIOS[name].promise} | {'**broken**' if findings.broken else 'held'} | "
        + ", ".join(f"{what} {figure}" for what, figure in findings.figures.items()) + " |"
        for name, findings in found.items()
    ]  # fmt: skip
    return "\n".join([_PAGE, *rows, ""])


def vars_of(findings: Findings) -> dict[str, object]:
    """Return findings as data for JSON."""
    return {"figures": findings.figures, "broken": findings.broken}


if __name__ == "__main__":
    main()
