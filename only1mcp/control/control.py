"""The control process: the health board behind its manager, the admin API, and reloads."""

import asyncio
import contextlib
import signal

from aiohttp import web

from only1mcp.config.settings import Settings
from only1mcp.control.admin import Admin
from only1mcp.control.owners_door import OwnersDoor
from only1mcp.control.parsers import Parsers
from only1mcp.control.reloader import START, Reloader
from only1mcp.control.watcher import FileWatcher
from only1mcp.health.board import HealthBoard
from only1mcp.health.manager import serve_board
from only1mcp.links.link import serve
from only1mcp.memory.health_words import HealthWords
from only1mcp.process.child import Lifecycle
from only1mcp.process.context import Context
from only1mcp.tasks import Tasks


async def serve_control(context: Context, lifecycle: Lifecycle) -> None:
    """Be the control process until told to stop."""
    async with contextlib.aclosing(Parsers(context.shared.source)) as parsers:
        await _serve(context, lifecycle, parsers)


async def _serve(context: Context, lifecycle: Lifecycle, parsers: Parsers) -> None:
    shared = context.shared
    board = HealthBoard([], HealthWords(shared.memory))
    board.follow(shared.settings.slot_of)
    serve_board(board, shared.runtime_dir.board_socket, shared.board_key)

    def follow(settings: Settings) -> None:
        board.follow(settings.slot_of)
        admin.follow(settings)

    reloader = Reloader(shared, parsers, follow)
    admin = Admin(context, board, parsers, reloader)
    runner = web.AppRunner(admin.app(), access_log=None)
    await runner.setup()
    socket_path = shared.runtime_dir.control_socket
    server = await serve(socket_path, lambda: OwnersDoor(_handlers(runner)))
    socket_path.chmod(0o600)
    tasks = Tasks()
    _await_reasons(context, reloader, parsers, tasks)
    lifecycle.ready()
    await lifecycle.stopping.wait()
    await tasks.cancel_all()
    server.close()
    await runner.cleanup()


def _handlers(runner: web.AppRunner) -> web.Server:
    assert runner.server is not None
    return runner.server


def _expect(parsers: Parsers, tasks: Tasks) -> None:
    """Get ready for a change of the file: somebody has opened it."""
    if parsers.is_cold():
        tasks.spawn(parsers.expect())


def _await_reasons(context: Context, reloader: Reloader, parsers: Parsers, tasks: Tasks) -> None:
    """Reload on SIGHUP and when the file changes."""
    loop, source = asyncio.get_running_loop(), context.shared.source

    async def reload(cause: str) -> None:
        await reloader.reload(cause)

    loop.add_signal_handler(signal.SIGHUP, lambda: tasks.spawn(reload("signal")))
    if source is not None and source.path is not None:
        watcher = FileWatcher(
            source.path, lambda: reloader.follow_file(watcher.still),
            lambda: _expect(parsers, tasks),
        )  # fmt: skip
        if context.row.starts > 1 or watcher.taken != source.seen:
            tasks.spawn(reload(START))
        tasks.spawn(watcher.run())
