"""The command `only1mcp` and the list of its commands."""

import importlib
from typing import Any

import click

from only1mcp import __version__
from only1mcp.cli.output import USAGE, Failure

_COMMANDS = {
    "start": ("lifecycle", "Run the gateway in the foreground."),
    "stop": ("lifecycle", "Stop a running gateway."),
    "reload": ("reload", "Have a running gateway take over its configuration."),
    "restart": ("restart", "Replace the workers of a running gateway, one after the other."),
    "upgrade": ("upgrade", "Have the program that is installed now take over, without a pause."),
    "status": ("status", "Show processes and servers of a running gateway."),
    "list": ("status", "List the servers."),
    "add": ("servers", "Add a server to the configuration."),
    "remove": ("servers", "Remove a server from the configuration."),
    "enable": ("servers", "Enable a server that was disabled."),
    "disable": ("servers", "Keep a server in the configuration without serving it."),
    "workers": ("workers", "Serve with another number of workers."),
    "tools": ("tools", "List and call tools through the gateway."),
    "test": ("check", "Start each server alone and see what it offers."),
    "cache": ("cache", "Show or clear the answers that a running gateway keeps."),
    "benchmark": ("benchmark", "Send calls at a fixed rate, and show how long they take."),
    "doctor": ("check", "Look for what keeps the gateway from working."),
    "connect": ("bridge", "Speak MCP on stdin and stdout, for clients that only do that."),
    "keys": ("keys", "Make keys for those who use the gateway."),
    "init": ("configuration", "Print a configuration to begin with."),
    "validate": ("configuration", "Check a configuration."),
    "config": ("configuration", "Show the configuration in use, or its JSON Schema."),
    "completion": ("shell", "Print the completion script of a shell."),
    "version": ("shell", "Print the version."),
}
_INTERRUPTED = 130
_WANTS_JSON = "only1mcp.wants_json"
_EPILOG = """\b
Exit codes:
  0  done                        5  configuration not valid
  1  unexpected error            6  a check found problems
  2  wrong usage                 7  exists or runs already
  3  not found                   130, 143  stopped by a signal
  4  gateway not reachable"""


class LazyGroup(click.Group):
    """Knows its commands' names and help, and imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table."""
        del ctx
        return list(_COMMANDS)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note whether JSON is wanted, before anything can be wrong with what follows."""
        ctx.meta[_WANTS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"only1mcp.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; on Ctrl-C exit as a shell expects it, not with click's code 1."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(_INTERRUPTED) from None
        except click.UsageError as error:
            if not ctx.meta[_WANTS_JSON]:
                raise
            command = error.ctx.command_path if error.ctx else "only1mcp"
            hint = f"see: {command} --help"
            failure = Failure("USAGE", error.format_message(), hint, exit_code=USAGE)
            failure.as_json = True
            raise failure from None


@click.group(
    cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "-V", "--version", message="only1mcp %(version)s")
def cli() -> None:
    """One MCP endpoint in front of all of your MCP servers."""
