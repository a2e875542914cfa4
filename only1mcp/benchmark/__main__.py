"""One process of several that run a plan together; its parent speaks to it over its pipes.

It reads the plan, says that it is ready, reads when to start and prints its report. When its input
ends it stops with what it has.
"""

import asyncio
import json
import sys
from typing import Any

import uvloop

from only1mcp.benchmark.generator import Generator
from only1mcp.benchmark.plan import CannotMeasure, Plan


async def _serve() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    generator = Generator(Plan(**json.loads(await reader.readline())))
    start = await _get_ready(reader, generator)
    if not start:
        return
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_stop_at_end(reader, generator))
        report = await generator.run(json.loads(start))
        watching.cancel()
    _say(report.to_plain())


async def _get_ready(reader: asyncio.StreamReader, generator: Generator) -> bytes:
    """Prepare, and return when to start; nothing if the parent goes, or there is no point."""
    async with asyncio.TaskGroup() as group:
        told = group.create_task(reader.readline())
        preparing = group.create_task(_prepare(generator))
        await asyncio.wait((told, preparing), return_when=asyncio.FIRST_COMPLETED)
        if not preparing.done():
            preparing.cancel()
        elif not preparing.result():
            told.cancel()
            return b""
    return told.result()


async def _prepare(generator: Generator) -> bool:
    try:
        await generator.prepare()
    except CannotMeasure as error:
        _say({"code": error.code, "problem": str(error), "hint": error.hint})
        return False
    _say("ready")
    return True


async def _stop_at_end(reader: asyncio.StreamReader, generator: Generator) -> None:
    await reader.read()
    generator.stop()


def _say(message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(_serve())
