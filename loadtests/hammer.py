"""Clients and a server do all they can do wrong: each call gets its own answer, or one error.

`python -m loadtests.hammer --seconds 60` runs seed after seed in one process; the first that fails
ends it, and is printed. For memory errors in the compiled parts run it with PYTHONMALLOC=debug, or
build with `CFLAGS="-fsanitize=address -g" python setup.py build_ext --inplace --force` and have
LD_PRELOAD="$(gcc -print-file-name=libasan.so)" and ASAN_OPTIONS=detect_leaks=0 in the environment.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter

import uvloop

from only1mcp.protocol.versions import Era
from tests.support.hammer import Hammer

_ERAS = ((Era.MODERN, Era.MODERN), (Era.LEGACY, Era.LEGACY), (Era.MODERN, Era.LEGACY))
"""Of clients and server."""


def run(seed: int, clients: int) -> Hammer:
    """Run one seed; the eras follow from it."""
    hammer = Hammer(seed, *_ERAS[seed % len(_ERAS)])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(hammer.run(clients, rounds=8))
    return hammer


def main() -> int:
    """Run as the arguments say, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--clients", type=int, default=16)
    arguments = parser.parse_args()
    seed, total, until = arguments.seed, Counter[str](), time.monotonic() + arguments.seconds
    while time.monotonic() < until:
        try:
            hammer = run(seed, arguments.clients)
        except BaseException:
            print(f"seed {seed} fails", file=sys.stderr)
            raise
        total.update(hammer.tally.reasons)
        total["(answered well)"] += hammer.tally.answered
        total["(clients gone)"] += hammer.tally.dropped
        seed += 1
    print(json.dumps({"seeds": seed - arguments.seed, **dict(total.most_common())}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
