"""`python -m fuzz TARGET [--seconds N]`: feed one target for a time, led by coverage.

What makes it fail is left in `.fuzz/`, and the exit code is not 0. What led to new code is kept in
`.fuzz/corpus/`, where the next run begins. atheris has wheels for Python 3.11 to 3.13.
"""

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["only1mcp", "fuzz.targets"]):
    from fuzz.seeds import SEEDS
    from fuzz.targets import TARGETS

_FINDINGS = Path(".fuzz")


def main() -> None:
    """Run as the arguments say; the fuzzer ends the process."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=30)
    arguments = parser.parse_args()
    corpus = _FINDINGS / "corpus" / arguments.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[arguments.target]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={arguments.seconds}", "-max_len=2048", "-timeout=20", "-verbosity=0",
        "-print_final_stats=1", f"-artifact_prefix={_FINDINGS}/{arguments.target}-",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[arguments.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
