"""The backend of `benchmarks.echo_backend` on standard input and output.

Run as `python -m benchmarks.echo_stdio RESULT_BYTES`.
"""

import sys

from benchmarks.echo_backend import answer


def main() -> None:
    """Answer until the input ends."""
    size = int(sys.argv[1])
    lines, out = sys.stdin.buffer, sys.stdout.buffer
    while line := lines.readline():
        said = answer(line, size)
        if said is not None:
            out.write(said + b"\n")
            out.flush()


if __name__ == "__main__":
    main()
