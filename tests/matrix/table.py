"""Writes what works with what, from the suite itself: `python -m tests.matrix.table [--write]`.

The numbers are those of the cases that pytest runs and of the gaps that say why others do not
exist; `tests.matrix.test_coverage` fails when the README says something else.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.matrix.gaps import BEHAVIOURS, GAPS, gap, pairs
from tests.matrix.sides import BACKS, FRONTS, PAIRS, Back, Front, Pair

FOLDER = Path(__file__).parent
README = FOLDER.parents[1] / "README.md"
BEGIN, END = "<!-- matrix: written by python -m tests.matrix.table --write -->", "<!-- /matrix -->"


def collect() -> None:
    """Import all behaviours."""
    for path in sorted(FOLDER.glob("test_*.py")):
        importlib.import_module(f"tests.matrix.{path.stem}")


def render() -> str:
    """Return the tables as Markdown."""
    return "\n".join([*_summary(), "", *_pairs(), "", *_behaviours()])


def _summary() -> Iterator[str]:
    tried = sum(len(pairs(behaviour)) for behaviour in BEHAVIOURS)
    whole = len(PAIRS) * len(BEHAVIOURS)
    bridged = sum(pair.is_bridged for pair in PAIRS)
    yield (
        f"{len(FRONTS)} ways in and {len(BACKS)} kinds of server make {len(PAIRS)} pairs, "
        f"{bridged} of them with a client and a server of different eras. {len(BEHAVIOURS)} "
        f"behaviours on each make {whole} combinations: **{tried} are tried** by "
        f"`pytest -m real tests/matrix`, a part of `make test`, with one gateway of two workers "
        f"between all of them; {whole - tried} are not, for the reasons below."
    )


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _pairs() -> Iterator[str]:
    yield _row("client \\ server", *(_name(back) for back in BACKS))
    yield _row("---", *("---:" for _ in BACKS))
    for front in FRONTS:
        yield _row(_name(front), *(_cell(Pair(front, back)) for back in BACKS))
    yield ""
    yield "The number of behaviours tried on each pair; \u21c4 where it speaks different eras."


def _cell(pair: Pair) -> str:
    count = sum(gap(behaviour, pair) is None for behaviour in BEHAVIOURS)
    return f"{count} \u21c4" if pair.is_bridged else str(count)


def _name(side: Front | Back) -> str:
    transports = {"http": "HTTP", "websocket": "WebSocket", "sse": "HTTP+SSE"}
    transport = transports.get(side.transport, side.transport)
    if isinstance(side, Front):
        return f"{transport} {side.revision}"
    asks = ", asks on GET" if side.ask_on == "get" else ""
    return f"{transport} {side.era}{asks}"


def _behaviours() -> Iterator[str]:
    yield _row("what is tried", "pairs", "what is not bridged or cannot be, and why")
    yield _row("---", "---:", "---")
    for behaviour, test in sorted(BEHAVIOURS.items(), key=_place):
        sentence = test.__name__.removeprefix("test_").replace("_", " ")
        reasons = "; ".join(f"{reason} ({count})" for reason, count in _reasons(behaviour).items())
        yield _row(f"{behaviour}: {sentence}", len(pairs(behaviour)), reasons)


def _place(behaviour: tuple[str, Callable[..., Any]]) -> tuple[str, int]:
    """Return where a test stands: they may be imported in another order."""
    _, test = behaviour
    return test.__module__, test.__code__.co_firstlineno


def _reasons(behaviour: str) -> dict[str, int]:
    """Return why a behaviour is not tried, and on how many pairs."""
    counts = {one.reason: 0 for one in GAPS if one.behaviour == behaviour}
    for pair in PAIRS:
        found = gap(behaviour, pair)
        if found is not None:
            counts[found.reason] += 1
    return {reason: count for reason, count in counts.items() if count}


def written(readme: str) -> str:
    """Return a README with the tables between its markers."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{render()}\n{END}{after}"


def main() -> None:
    """Print the tables, or put them into the README."""
    parser = argparse.ArgumentParser(description="What works with what, from the suite itself.")
    parser.add_argument("--write", action="store_true", help="put it into the README")
    options = parser.parse_args()
    collect()
    if options.write:
        README.write_text(written(README.read_text()))
    else:
        sys.stdout.write(f"{render()}\n")


if __name__ == "__main__":
    main()
