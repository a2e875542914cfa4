"""`start --stdio`: a gateway for the client that started us, on our standard input and output.

Two processes: this one is the bridge, its child the gateway. The gateway ends with the bridge,
however that ends, and has a session of its own: a client that kills our process group leaves it the
time to end its servers.
"""

import asyncio
import contextlib
import fcntl
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import click

from only1mcp.cli.banner import announce
from only1mcp.cli.bridge import carry
from only1mcp.cli.gateway import endpoint_at
from only1mcp.cli.output import UNEXPECTED, say
from only1mcp.process.context import Shared

OnReady = Callable[[Shared], int]
_MAX_URL_BYTES = 4096
_STDIN, _STDOUT, _STDERR = range(3)


def serve(run: Callable[[OnReady], int], key: str | None) -> int:
    """Serve until standard input ends; returns the exit code.

    Args:
        run: is the gateway; calls back once that serves, and returns its exit code.
        key: the client's, if the gateway asks for one.
    """
    ready, tell = os.pipe()
    lifeline, lifeline_end = os.pipe()
    gateway = os.fork()
    if gateway == 0:
        os.close(ready)
        os.close(lifeline_end)
        _be_gateway(run, tell, lifeline)
    os.close(tell)
    os.close(lifeline)
    try:
        url = os.read(ready, _MAX_URL_BYTES).decode()  # nothing when the gateway did not start
        code = asyncio.run(_bridge(url, gateway, key)) if url else None
    finally:
        ended = _end(gateway)
    return ended if code is None else code


async def _bridge(url: str, gateway: int, key: str | None) -> int:
    """Carry messages while the gateway lives."""
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[int] = loop.create_future()

    def lost() -> None:
        loop.remove_reader(handle)
        if not gone.done():
            say("the gateway has ended")
            gone.set_result(UNEXPECTED)

    handle = os.pidfd_open(gateway)
    loop.add_reader(handle, lost)
    return await carry(url, gone, key)


def _be_gateway(run: Callable[[OnReady], int], tell: int, lifeline: int) -> NoReturn:
    """Be the child; never returns to the code of the bridge."""
    code = UNEXPECTED
    try:
        _end_with(lifeline)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), _STDIN)
        os.dup2(_STDERR, _STDOUT)

        def on_ready(shared: Shared) -> int:
            os.write(tell, endpoint_at(shared.settings.host, shared.port).encode())
            os.close(tell)
            return announce(shared)

        code = run(on_ready)
    except click.ClickException as failure:
        failure.show()
        code = failure.exit_code
    except BaseException:  # noqa: BLE001 - nothing may unwind into the code of the bridge
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _end_with(lifeline: int) -> None:
    """Be sent SIGTERM when a pipe closes: the bridge, which holds its other end, has died.

    Once: the signal of a parent's death (PR_SET_PDEATHSIG) comes for each thread of the parent, and
    a second one means to hurry.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_RDONLY | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(UNEXPECTED)  # it has died already


def _end(gateway: int) -> int:
    """Have the gateway end, wait for it, and return its exit code."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(gateway, signal.SIGTERM)
    _, status = os.waitpid(gateway, 0)
    return os.waitstatus_to_exitcode(status)
