"""`python -m only1mcp` is the command `only1mcp`."""

import sys


def main() -> None:
    """Run the command line."""
    from only1mcp.cli.main import cli
    from only1mcp.cli.output import write_wholly

    write_wholly()
    cli.main(prog_name="only1mcp", args=sys.argv[1:])


if __name__ == "__main__":
    main()
