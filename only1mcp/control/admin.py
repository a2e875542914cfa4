"""The admin API, implemented once: workers and the command line reach it over a unix socket."""

import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from only1mcp import __version__
from only1mcp._speedups import ACCEL
from only1mcp.backends.instances import now_ms
from only1mcp.config.settings import Settings
from only1mcp.control.cache_desk import CacheDesk
from only1mcp.control.editing import Editor, answer_of
from only1mcp.control.parsers import Parsers
from only1mcp.control.reloader import Reloader
from only1mcp.control.upgrade_desk import UpgradeDesk
from only1mcp.health.board import HealthBoard
from only1mcp.ingress.admin_refusal import PREFIX, refusal
from only1mcp.ingress.origin import bracketed
from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.memory.health_words import HealthWords
from only1mcp.memory.instances import InstanceTable
from only1mcp.memory.processes import ProcessRow, read_processes, row_index
from only1mcp.memory.upgrades import UpgradeWords
from only1mcp.observability.instance_metrics import InstanceMetrics
from only1mcp.observability.loop_metrics import LoopMetrics
from only1mcp.observability.metrics import MetricsReader
from only1mcp.process.context import Context, plan_of
from only1mcp.process.instances import NamedInstances, breakers_of, describe

_log = logging.getLogger(__name__)
_WAYS = (
    "GET health, servers, metrics, status, cache; POST servers, servers/<id>/enable, "
    "servers/<id>/disable, reload, workers, workers/restart, cache/clear; DELETE servers/<id>"
)
LOCAL = "Only1MCP-Local"
"""The header by which the command line says that it speaks on our socket itself; workers, who pass
on what clients say, never send it."""


class Admin:
    """Answers what is asked about this gateway."""

    def __init__(
        self, context: Context, board: HealthBoard, parsers: Parsers, reloader: Reloader
    ) -> None:
        self._shared = context.shared
        self._reloader = reloader
        self._editor = Editor(context.shared.source, parsers, reloader)
        self._board = board
        self._words = HealthWords(context.shared.memory)
        self._metrics = MetricsReader(context.shared.metrics_plan, context.shared.memory)
        table = InstanceTable(context.shared.memory, context.shared.ended_lock)
        self._instances = NamedInstances(table, context.shared.settings.servers)
        self._metrics.add(InstanceMetrics(self._instances))
        self._cache = CacheDesk(context.shared, self._metrics, reloader)
        self._upgrades = UpgradeDesk(
            UpgradeWords(context.shared.memory.upgrades),
            lambda: self._ask_supervisor(signal.SIGUSR1, "upgrading"),
        )
        self._metrics.add(LoopMetrics(context.shared.metrics_plan, context.shared.memory))
        self.follow(context.shared.settings)

    def follow(self, settings: Settings) -> None:
        """Speak of these servers from now on."""
        self._words.slots = list(settings.slot_of.values())
        self._metrics.follow(plan_of(settings))
        self._instances.servers = settings.servers

    def app(self) -> web.Application:
        """Return the web application."""
        app = web.Application(middlewares=[_in_json])
        app.router.add_get(f"{PREFIX}health", self._get_health)
        app.router.add_get(f"{PREFIX}servers", self._get_servers)
        app.router.add_get(f"{PREFIX}metrics", self._get_metrics)
        app.router.add_get(f"{PREFIX}status", self._get_status)
        app.router.add_get(f"{PREFIX}cache", self._get_cache)
        app.router.add_post(f"{PREFIX}cache/clear", self._post_clear)
        app.router.add_post(f"{PREFIX}reload", self._post_reload)
        app.router.add_post(f"{PREFIX}workers", self._post_workers)
        app.router.add_post(f"{PREFIX}workers/restart", self._post_restart)
        app.router.add_post(f"{PREFIX}upgrade", self._post_upgrade)
        app.router.add_post(f"{PREFIX}servers", self._post_server)
        app.router.add_delete(f"{PREFIX}servers/{{id}}", self._delete_server)
        app.router.add_post(f"{PREFIX}servers/{{id}}/{{switch:enable|disable}}", self._post_switch)
        return app

    async def _get_health(self, request: web.Request) -> web.Response:
        del request
        servers = self._board.servers()
        healthy = self._words.usable()
        body = {
            "status": "ok" if healthy else "unavailable",
            "servers": {server["id"]: server["state"] for server in servers},
        }
        return _json(body, 200 if healthy else 503)

    async def _get_servers(self, request: web.Request) -> web.Response:
        del request
        return _json({"servers": self._servers()})

    async def _get_metrics(self, request: web.Request) -> web.Response:
        del request
        return _json({"metrics": self.metrics()})

    async def _get_status(self, request: web.Request) -> web.Response:
        del request
        return _json(self.status())

    async def _get_cache(self, request: web.Request) -> web.Response:
        del request
        return _json(self._cache.show())

    async def _post_clear(self, request: web.Request) -> web.Response:
        """Have all workers forget answers; 404 for a server or a tool that there is not."""
        query = request.query
        status, body = await self._cache.clear(query.get("server"), query.get("tool"))
        return _json(body, status)

    async def _post_reload(self, request: web.Request) -> web.Response:
        """Reload; 409 when nothing was changed because of a mistake."""
        del request
        status, body = answer_of(await self._reloader.reload("request"))
        return _json(body, status)

    async def _post_restart(self, request: web.Request) -> web.Response:
        """Have the supervisor replace the workers, one after the other."""
        del request
        status, body = self._ask_supervisor(signal.SIGUSR2, "restarting")
        return _json(body, status)

    async def _post_upgrade(self, request: web.Request) -> web.Response:
        """Have the supervisor start the program that is installed now, to take its place."""
        if LOCAL not in request.headers:
            message = "the program is not changed over the network"
            return _refused(
                403, "LOCAL_ONLY", message, "on the gateway's machine: only1mcp upgrade"
            )
        status, body = await self._upgrades.begin()
        return _json(body, status)

    def _ask_supervisor(self, number: signal.Signals, what: str) -> tuple[int, dict[str, Any]]:
        supervisor = ProcessRow(self._shared.memory.process_row(row_index("supervisor"))).pid
        if supervisor != os.getppid():
            return 503, refusal("ORPHANED", "we are about to end", "try again in a second")
        os.kill(supervisor, number)
        return 202, {what: True}

    async def _post_server(self, request: web.Request) -> web.Response:
        """Add a server; 403 for a program, unless the command line on this machine asks."""
        entry = await _body_of(request)
        status, body = await self._editor.add(entry, local=LOCAL in request.headers)
        return _json(body, status)

    async def _post_workers(self, request: web.Request) -> web.Response:
        """Have another number of workers, in the file and at once."""
        status, body = await self._editor.set_workers(await _body_of(request))
        return _json(body, status)

    async def _delete_server(self, request: web.Request) -> web.Response:
        status, body = await self._editor.remove(request.match_info["id"])
        return _json(body, status)

    async def _post_switch(self, request: web.Request) -> web.Response:
        is_enabled = request.match_info["switch"] == "enable"
        status, body = await self._editor.switch(request.match_info["id"], enabled=is_enabled)
        return _json(body, status)

    def metrics(self) -> list[dict[str, Any]]:
        """Return every sample as name, labels and value."""
        return [
            {"name": sample.name, "labels": dict(sample.labels), "value": sample.value}
            for family in self._metrics.collect()
            for sample in family.samples
        ]

    def status(self) -> dict[str, Any]:
        """Return everything `only1mcp status` shows."""
        shared, settings, last = self._shared, self._reloader.settings, self._reloader.last
        now = time.monotonic_ns()
        return {
            "version": __version__,
            "accel": ACCEL,
            "pid": os.getppid(),
            "url": f"http://{bracketed(settings.host)}:{shared.port}/mcp",
            "config": str(Path(settings.source).absolute()) if settings.source else None,
            "demo": settings.demo,
            "uptime_s": round((now - shared.started_ns) / 1e9, 1),
            "processes": [
                {
                    "role": row.role, "index": row.index, "pid": row.pid,
                    "state": row.state.name.lower(), "restarts": max(row.starts - 1, 0),
                    "heartbeat_age_ms": max(now - row.beat_ns, 0) // 1_000_000,
                    "settings": row.serves,
                }
                for row in read_processes(shared.memory)
            ],
            "servers": self._servers(),
            "settings": settings.number,
            "reload": None if last is None else last.to_plain(),
            "upgrade": RuntimeDir(shared.runtime_dir.path.parent).read_upgrade(),
        }  # fmt: skip

    def _servers(self) -> list[dict[str, Any]]:
        """Return what is known of each server and of each of its instances; the disabled last."""
        servers = self._board.servers()
        by_id = {server["id"]: server for server in servers}
        now = now_ms()
        for one in self._instances:
            if one.server_id in by_id:
                server = by_id[one.server_id]
                turn = server.get("breakers", {}).get(one.name)
                down = server.get("down", {}).get(one.name, "")
                described = describe(one, turn, down, now)
                described |= server.get("replicas", {}).get(one.name, {})
                server.setdefault("instances", []).append(described)
        for server in servers:
            server.pop("breakers", None)
            server.pop("down", None)
            server.pop("replicas", None)
            _tell_breakers(server)
            for one in (server, *server.get("instances", [])):
                _tell_next_start(one)
        return [*servers, *self._reloader.settings.plain_disabled]


def _tell_breakers(server: dict[str, Any]) -> None:
    """Say, behind what the host says of a server, that breakers keep calls from it."""
    detail = server.get("detail")
    told = breakers_of(server["id"], server.get("instances", []), gives_why=not detail)
    if told:
        server["detail"] = f"{detail}; {told}" if detail else told


def _tell_next_start(told: dict[str, Any]) -> None:
    """Put how long a process is yet to wait for its start, for the moment of that; None for none.

    To a process that runs alone this is what a breaker is to one of several instances.
    """
    if "next_start" in told:
        at = told.pop("next_start")
        told["next_start_in_s"] = round(max(at - time.monotonic(), 0.0), 1) if at else None


async def _body_of(request: web.Request) -> Any:
    """Return what a request says; None if that is not JSON."""
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return None


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(body), headers={"Content-Type": "application/json"}
    )


def _refused(status: int, code: str, message: str, hint: str) -> web.Response:
    return _json(refusal(code, message, hint), status)


@web.middleware
async def _in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Say in JSON as well that there is nothing of this kind here, or that we have failed."""
    asked = f"{request.method} {request.path[:200]}"
    try:
        return await handler(request)
    except web.HTTPException as error:
        code = error.reason.upper().replace(" ", "_")
        allowed = error.headers.get("Allow")
        answer = _refused(
            error.status, code, f"{asked} is not possible",
            f"what is: {_WAYS}" if allowed is None else f"use {allowed}",
        )  # fmt: skip
        if allowed is not None:
            answer.headers["Allow"] = allowed
        return answer
    except Exception:  # noqa: BLE001 - whatever it is, who asked is told in one form
        _log.exception("the admin API failed", extra={"path": asked})
        return _refused(500, "INTERNAL", "internal error", "see the gateway's log")
