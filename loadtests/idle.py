"""Very many connections are idle after a call: what each of them costs, and that calls go on.

`python -m loadtests.idle --connections 15000` ends with exit code 1 when one costs the worker more
than 4 KiB, or any call fails. It needs two file descriptors per connection in all (`ulimit -n`),
half of them here, half in the worker.
"""

import argparse
import asyncio
import json
import random
import resource
import sys
from pathlib import Path

import uvloop

from tests.support.counting_backend import CountingBackend
from tests.support.gateway import Gateway
from tests.support.mcp_client import META, modern_headers
from tests.support.zoo import zoo

AT_ONCE, WARM_UP, MORE_CALLS, SPARE_FILES = 64, 500, 1000, 200
_HEADERS = "".join(
    f"{name}: {value}\r\n" for name, value in modern_headers("tools/call", "a__echo").items()
)


def raise_files(wanted: int) -> None:
    """Let this process, and those that it starts, open so many files.

    Raises:
        SystemExit: the limit of this account is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"error: {wanted} open files are needed. hint: `ulimit -Hn` says {hard}")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Idle:
    """A connection that makes a call now and then."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def call(self, number: int) -> None:
        """Make one call; connect first if that was not done yet."""
        if not hasattr(self, "_reader"):
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        params = {"name": "a__echo", "arguments": {"text": f"t{number}"}, "_meta": META}
        message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
        body = json.dumps(message)
        self._writer.write(
            f"POST /mcp HTTP/1.1\r\nHost: localhost:{self._port}\r\n{_HEADERS}"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = json.loads(await self._reader.readexactly(size))
        said = answer["result"]["content"][0]["text"]
        if (answer["id"], said) != (number, f"t{number}"):
            raise RuntimeError(f"call {number} was answered by {answer}")


async def _call_all(lines: list[Idle], first: int) -> None:
    """Make a call on each, several at a time."""
    numbered = iter(enumerate(lines, first))

    async def some() -> None:
        for number, line in numbered:
            await line.call(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


def rss_bytes(pid: int) -> int:
    """Return the memory that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024


async def bytes_each(gateway: Gateway, count: int) -> float:
    """Return what one idle connection costs the only worker; all of them stay usable."""
    (worker,) = gateway.pids("worker")
    lines = [Idle(gateway.port) for _ in range(WARM_UP)]
    await _call_all(lines, 0)
    before = rss_bytes(worker)
    added = [Idle(gateway.port) for _ in range(count - WARM_UP)]
    await _call_all(added, WARM_UP)
    each = (rss_bytes(worker) - before) / len(added)
    lines += added
    await _call_all(random.sample(lines, min(MORE_CALLS, count)), count)
    return each


def main() -> int:
    """Run as the arguments say, print the figures, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=15_000)
    parser.add_argument("--within", type=int, default=4096, metavar="BYTES")
    arguments = parser.parse_args()
    count = max(arguments.connections, 2 * WARM_UP)
    raise_files(count + SPARE_FILES)
    with CountingBackend("modern") as backend:
        limits = {"max_connections": count + AT_ONCE, "idle_timeout": "1h"}
        config = zoo({"id": "a", "transport": "http", "url": backend.url}, limits=limits)
        with (
            Gateway(config, workers=1) as gateway,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            each = runner.run(bytes_each(gateway, count))
    print(json.dumps({"connections": count, "bytes each": round(each)}))
    return 1 if each > arguments.within else 0


if __name__ == "__main__":
    sys.exit(main())
