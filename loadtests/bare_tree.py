"""The processes of a gateway without the gateway: what interpreter, event loop and libraries hold.

`python -m loadtests.memory --bare aiohttp,orjson --processes 4` runs and measures it. The first
process imports and forks, as our supervisor does; each of the others has an event loop and answers
requests: with aiohttp, when that is among the modules, else with a few lines of asyncio. As in the
gateway, pages of libraries that are as they stand on disk are dropped.
"""

import asyncio
import gc
import importlib
import os
import signal
import sys

from only1mcp.process.heap import give_back_heap
from only1mcp.process.pages import drop, unchanged_ranges

_REQUESTS = 300
_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def _aiohttp_server() -> int:
    from aiohttp import web  # noqa: PLC0415 - whether it is imported is what is measured

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


async def _plain_server() -> int:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def _serve(*, with_aiohttp: bool) -> None:
    port = await (_aiohttp_server() if with_aiohttp else _plain_server())
    for _ in range(_REQUESTS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_REQUEST)
        await reader.read()
        writer.close()
    drop(unchanged_ranges())
    print(os.getpid(), flush=True)
    await asyncio.Event().wait()


def main(processes: int, modules: list[str]) -> None:
    """Import, fork, print the process ids as they are ready, and stay until stdin ends."""
    for name in modules:
        importlib.import_module(name)
    uvloop = importlib.import_module("uvloop")
    gc.collect()
    give_back_heap()
    gc.freeze()
    children = []
    for _ in range(processes - 1):
        pid = os.fork()
        if pid == 0:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(with_aiohttp="aiohttp" in modules))
        children.append(pid)
    drop(unchanged_ranges())
    print(os.getpid(), flush=True)
    sys.stdin.read()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
