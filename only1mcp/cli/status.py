"""`status` and `list`."""

from typing import Any

import click

from only1mcp.cli.gateway import control_get, find_instance
from only1mcp.cli.output import (
    Failure,
    config_option,
    json_option,
    port_option,
    print_json,
    print_table,
)
from only1mcp.cli.settings import need_settings
from only1mcp.config.problems import problem_of
from only1mcp.links.runtime_dir import running


@click.command("status")
@port_option
@json_option
def status_command(port: int | None, as_json: bool) -> None:
    """Show processes and servers of a running gateway."""
    _, record = find_instance(port)
    try:
        status: dict[str, Any] = control_get("status", record["control"])
    except Failure as failure:
        failure.data = record  # while control is replaced say at least what the record knows
        raise
    if as_json:
        print_json("status", status)
        return
    click.echo(
        f"only1mcp {status['version']} ({status['accel']})  {status['url']}"
        f"  up {status['uptime_s']:g} s  config {status['config'] or 'demonstration'}"
    )
    _print_reload(status["reload"])
    _print_upgrade(status.get("upgrade"))
    print_table(
        ("PROCESS", "PID", "STATE", "RESTARTS"),
        [(_name(row), row["pid"], row["state"], row["restarts"]) for row in status["processes"]],
    )
    click.echo()
    _print_servers(status["servers"])


def _print_reload(reload: dict[str, Any] | None) -> None:
    """Say how the last reload went, if it went wrong: what runs is not what the file says."""
    if reload is None or reload["ok"]:
        return
    click.echo(f"the last reload failed at {reload['at']}: {reload['message']}")
    for plain in reload["problems"]:
        click.echo(f"  {problem_of(plain)}")


def _print_upgrade(upgrade: dict[str, Any] | None) -> None:
    """Say why the last upgrade failed: what runs is not what is installed."""
    if upgrade is not None and not upgrade["ok"]:
        click.echo(f"the last upgrade failed at {upgrade['at']}: {upgrade['message']}")


def _name(row: dict[str, Any]) -> str:
    return f"{row['role']}-{row['index']}" if row["role"] == "worker" else str(row["role"])


def _print_servers(servers: list[dict[str, Any]]) -> None:
    print_table(
        ("SERVER", "TRANSPORT", "STATE", "ERA", "TOOLS", "PID", "RESTARTS", "DETAIL"),
        [
            (
                server["id"], server.get("transport", ""), server["state"],
                "+".join(server.get("eras", [])) or "-", server.get("tools", 0),
                server.get("pid") or "-", server.get("restarts", 0), _why(server),
            )
            for server in servers
        ],
    )  # fmt: skip
    _print_instances(servers)


def _why(told: dict[str, Any]) -> str:
    """Say why a server or an instance gets no calls, and when it is started or tried again."""
    why = (told.get("why") or told.get("detail") or "")[:120]
    parts = [why] if why else []
    start_s, again_s = told.get("next_start_in_s"), told.get("tried_again_in_s")
    if start_s is not None:
        parts.append(f"next start in {start_s:.0f} s")
    if again_s is not None:
        again = f"in {again_s:.0f} s" if again_s else "with the next call"
        parts.append(f"tried again {again}")
    return "; ".join(parts)


def _print_instances(servers: list[dict[str, Any]]) -> None:
    """Say how the calls of a server are shared out, where that is not plain."""
    shown = [
        (server["id"], one) for server in servers if _is_worth_a_table(server)
        for one in server["instances"]
    ]  # fmt: skip
    if not shown:
        return
    click.echo()
    print_table(
        ("SERVER", "INSTANCE", "HEALTH", "BREAKER", "IN FLIGHT", "WEIGHT", "LATENCY", "PID", "WHY"),
        [
            (
                server_id, one.get("url") or one["replica"], one["health"], one["breaker"],
                one["in_flight"], f"{one['weight'] * one['weight_factor']:g}",
                f"{one['latency_ms']:.1f} ms", one.get("pid") or "-", _why(one),
            )
            for server_id, one in shown
        ],
    )  # fmt: skip


def _is_worth_a_table(server: dict[str, Any]) -> bool:
    """Say whether its line does not tell all of a server."""
    instances = server.get("instances", [])
    return len(instances) > 1 or any(one["breaker"] != "closed" for one in instances)


@click.command("list")
@config_option
@port_option
@json_option
def list_command(config_path: str | None, port: int | None, as_json: bool) -> None:
    """List the servers: of the running gateway, or of the configuration when none runs.

    Those that are disabled are shown as such.
    """
    if config_path is None and (port is not None or running()):
        _, record = find_instance(port)
        servers = control_get("servers", record["control"])["servers"]
    else:
        settings = need_settings(config_path)
        servers = [
            {"id": server.id, "transport": server.transport, "state": "configured", "detail": ""}
            for server in settings.servers
        ] + settings.plain_disabled
    if as_json:
        print_json("servers", servers)
    else:
        _print_servers(servers)
