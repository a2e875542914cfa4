"""HTTP servers with a weakness: `python -m chaos.backends slow|modern|flaky PORT`.

Each has the tool `echo`, which says its argument `text` again. `slow` takes calls one at a time,
five milliseconds each; `modern` knows nothing of revisions before 2026-07-28, so that legacy
clients' calls to it are translated, on the common way. `flaky` breaks off every second call; it has
the tool `act` as well, which may not be repeated, and tells on GET how often it was called.
"""

import asyncio
import sys
from collections.abc import Callable

import orjson
import uvloop

from benchmarks.echo_backend import REFUSED, Echo

SLOW_S = 0.005
_BYTES = 64
_TOOL = {"description": "Answer.", "inputSchema": {"type": "object"}}
_FLAKY_TOOLS = {
    "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
    "tools": [{**_TOOL, "name": "echo", "annotations": {"readOnlyHint": True}},
              {**_TOOL, "name": "act"}],
}  # fmt: skip


class Slow(Echo):
    """Answers calls one after the other, whichever connection they come on."""

    free_at = 0.0

    def __init__(self) -> None:
        super().__init__(_BYTES)

    def _answer(self, body: bytes) -> None:
        if b'"tools/call"' not in body:
            super()._answer(body)
            return
        loop = asyncio.get_running_loop()
        Slow.free_at = max(Slow.free_at, loop.time()) + SLOW_S
        loop.call_at(Slow.free_at, super()._answer, body)


class Modern(Echo):
    """Refuses to open a session, as a server that has never heard of any does."""

    def __init__(self) -> None:
        super().__init__(_BYTES)

    def _answer(self, body: bytes) -> None:
        if b'"initialize"' in body:
            self._transport.write(REFUSED)
        else:
            super()._answer(body)


class Flaky(Echo):
    """Closes the connection in every second call, the first one excepted."""

    calls = 0

    def __init__(self) -> None:
        super().__init__(_BYTES)

    def _answer(self, body: bytes) -> None:
        if not body:
            count = b"%d" % Flaky.calls
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(count)
            self._transport.write(head + count)
        elif b'"tools/call"' in body:
            Flaky.calls += 1
            if Flaky.calls % 2:
                super()._answer(body)
            else:
                self._transport.abort()
        elif b'"tools/list"' in body:
            self._list(body)
        else:
            super()._answer(body)

    def _list(self, body: bytes) -> None:
        message = {"jsonrpc": "2.0", "id": orjson.loads(body)["id"], "result": _FLAKY_TOOLS}
        whole = orjson.dumps(message)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(whole) + whole)


KINDS: dict[str, Callable[[], Echo]] = {
    "slow": Slow,
    "modern": Modern,
    "flaky": Flaky,
}


async def main() -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(KINDS[sys.argv[1]], "127.0.0.1", int(sys.argv[2]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
