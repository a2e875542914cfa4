"""The control process: the health board behind its manager, and the admin API."""

from aiohttp import web

from only1mcp.control.admin import Admin
from only1mcp.health.board import HealthBoard
from only1mcp.health.manager import serve_board
from only1mcp.memory.health_words import HealthWords
from only1mcp.process.child import Lifecycle
from only1mcp.process.context import Context


async def serve_control(context: Context, lifecycle: Lifecycle) -> None:
    """Be the control process until told to stop."""
    shared = context.shared
    ids = [server.id for server in shared.settings.servers]
    board = HealthBoard(ids, HealthWords(shared.memory))
    serve_board(board, shared.runtime_dir.board_socket, shared.board_key)
    runner = web.AppRunner(Admin(context, board).app(), access_log=None)
    await runner.setup()
    socket_path = shared.runtime_dir.control_socket
    socket_path.unlink(missing_ok=True)
    await web.UnixSite(runner, str(socket_path)).start()
    socket_path.chmod(0o600)
    lifecycle.ready()
    await lifecycle.stopping.wait()
    await runner.cleanup()
