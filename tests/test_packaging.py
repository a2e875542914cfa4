"""What is shipped beside the program fits the program."""

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from only1mcp.cli.main import cli

UNIT = Path(__file__).parents[1] / "packaging" / "only1mcp.service"
HARDENED = (
    "NoNewPrivileges", "DynamicUser", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectClock",
    "ProtectControlGroups", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules",
    "ProtectKernelTunables", "LockPersonality", "RestrictNamespaces", "RestrictRealtime",
    "RestrictSUIDSGID",
)  # fmt: skip


def _service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text())
    return unit["Service"]


@pytest.mark.parametrize("key", ["ExecStart", "ExecReload"])
def test_the_unit_runs_commands_that_there_are(key: str) -> None:
    """With options that they know."""
    program, command, *options = shlex.split(_service()[key])
    assert Path(program).name == "only1mcp"
    context = click.Context(cli)
    found = cli.get_command(context, command)
    assert found is not None
    found.make_parser(click.Context(found)).parse_args(list(options))


def test_the_service_manager_is_told_and_watches() -> None:
    """What the supervisor does: readiness, the watchdog, the exit code of SIGTERM."""
    service = _service()
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["SuccessExitStatus"] == str(128 + 15)
    assert service["KillMode"] == "mixed"
    assert {service[f"{kind}Directory"] for kind in ("State", "Runtime")} == {"only1mcp"}


def test_the_service_is_confined() -> None:
    """It may write to its own directories alone, and has no capability."""
    service = _service()
    assert [key for key in HARDENED if service.get(key) != "yes"] == []
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert set(service["RestrictAddressFamilies"].split()) == {"AF_UNIX", "AF_INET", "AF_INET6"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    """But that the program is not installed there."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/only1mcp", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")
