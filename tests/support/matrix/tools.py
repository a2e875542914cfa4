"""The tools; each returns the members of its result."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from tests.support.matrix.call import LEVELS, URL_REQUIRED, Call, RpcError
from tests.support.matrix.exotic import EXOTIC_KEY, write
from tests.support.matrix.offers import Offers
from tests.support.matrix.questions import Plain

PAUSE_S = 0.02


class Server(Protocol):
    """The server, as far as tools change it."""

    name: str
    offers: Offers

    def changed(self, kind: str) -> None:
        """Tell everybody that a list has changed."""

    def updated(self, uri: str, key: str) -> None:
        """Tell who watches a resource that it was updated."""


Tool = Callable[[Server, Call], Awaitable[Plain]]
_paid: set[str] = set()
"""The calls whose client was sent to a URL already."""


def said(value: Any) -> Plain:
    """Return a result that says something, as JSON."""
    return {"content": [{"type": "text", "text": write(value)}]}


async def echo(server: Server, call: Call) -> Plain:
    """Say who answers, with members that nobody knows."""
    result = said({"server": server.name, "key": call.key})
    content = [{**result["content"][0], EXOTIC_KEY: "@exotic@"}]
    return {"content": content, EXOTIC_KEY: "@exotic@", "_meta": {EXOTIC_KEY: "@exotic@"}}


async def progress(server: Server, call: Call) -> Plain:
    """Report progress: twice on the client's token, once on another's."""
    del server
    token = call.meta.get("progressToken")
    for number, owner in enumerate((token, "of-somebody-else", token)):
        if owner is not None:
            told = {"progressToken": owner, "progress": number, "message": call.key}
            call.notify("notifications/progress", {**told, EXOTIC_KEY: "@exotic@"})
    return said(token)


async def log(server: Server, call: Call) -> Plain:
    """Log a message at every level."""
    del server
    for level in LEVELS:
        call.log(level, {"key": call.key, EXOTIC_KEY: "@exotic@"})
    return said("logged")


async def hang(server: Server, call: Call) -> Plain:
    """Never finish; say that we have begun, and how we were ended."""
    del server
    call.log("error", {"key": call.key})
    call.note("started", key=call.key)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        call.note("cancelled", key=call.key)
    raise AssertionError("nothing sets this future")


async def ask(server: Server, call: Call) -> Plain:
    """Ask the client, in as many rounds as the test wants, and return its answers."""
    call.note("asking", key=call.key)
    answers: Plain = {}
    try:
        rounds = call.arguments.get("rounds", [["form"]])
        for number, kinds in enumerate(rounds):
            answers |= await call.ask(kinds, number, stateful=True)
    except asyncio.CancelledError:
        call.note("cancelled", key=call.key)
        raise
    return said({"server": server.name, "answers": answers})


async def url_first(server: Server, call: Call) -> Plain:
    """Have the client open a URL before the call is done, in the way of either era."""
    del server
    if call.is_modern:
        await call.ask(["url"], 0, stateful=False)
    elif call.key not in _paid:
        _paid.add(call.key)
        wanted = {"mode": "url", "message": call.key, "url": f"https://example.com/{call.key}",
                  "elicitationId": f"theirs-{call.key}"}  # fmt: skip
        raise RpcError(URL_REQUIRED, "open this first", {"elicitations": [wanted]})
    return said("paid")


async def withdraw(server: Server, call: Call) -> Plain:
    """Ask the client something and take the question back."""
    del server
    assert call.session is not None
    plain = {"method": "elicitation/create",
             "params": {"message": call.key, "requestedSchema": {"type": "object"}}}  # fmt: skip
    await call.session.withdraw(plain, call.exchange)
    return said("withdrawn")


async def ping(server: Server, call: Call) -> Plain:
    """Ask the client whether it is there, and say what came back."""
    del server
    assert call.session is not None
    return said(await call.session.ask({"method": "ping"}, call.exchange))


async def opened(server: Server, call: Call) -> Plain:
    """Have the client open a URL; tell it when that is done, as legacy servers do."""
    del server
    await call.ask(["url"], 0, stateful=True)
    if call.session is not None:
        done = {"elicitationId": f"theirs-{call.key}.0", EXOTIC_KEY: "@exotic@"}
        call.notify("notifications/elicitation/complete", done)
    return said("opened")


async def change(server: Server, call: Call) -> Plain:
    """Offer one more tool, prompt or resource."""
    kind, name = call.arguments["kind"], f"new_{call.key}"
    if kind == "tools":
        server.offers.add_tool(name)
    elif kind == "prompts":
        server.offers.add_prompt(name)
    else:
        server.offers.add_resource(server.offers.uri(name))
    server.changed(kind)
    return said("changed")


async def touch(server: Server, call: Call) -> Plain:
    """Update a resource."""
    server.updated(call.arguments["uri"], call.key)
    return said("touched")


async def fail(server: Server, call: Call) -> Plain:
    """Fail, as a tool does or as the protocol does."""
    del server
    if call.arguments.get("how") == "tool":
        return {**said("it failed"), "isError": True}
    raise RpcError(-31999, "it failed", "@exotic@")


async def hang_up(server: Server, call: Call) -> Plain:
    """Break off the stream in the middle; the result is there for who comes back."""
    del server
    call.log("error", {"key": call.key})
    call.exchange.hang_up()
    await asyncio.sleep(PAUSE_S)
    return said("after the break")


async def job(server: Server, call: Call) -> Plain:
    """Say what the task says as which this did not run: see `tests.support.matrix.jobs`."""
    del server
    return said({"key": call.key, "answer": None})


async def region(server: Server, call: Call) -> Plain:
    """Return the argument that also stands in a header."""
    del server
    return said(call.arguments["region"])


def _structured(value: Any) -> Tool:
    async def structured(server: Server, call: Call) -> Plain:
        """Return structured content without a text that stands in for it.

        In the legacy era only objects are structured content; what else there is, is put into one.
        """
        del server
        fits = call.is_modern or isinstance(value, dict)
        return {"content": [], "structuredContent": value if fits else {"result": value}}

    return structured


TOOLS: dict[str, Tool] = {
    tool.__name__: tool
    for tool in (echo, progress, log, hang, ask, url_first, withdraw, ping, opened, change, touch,
                 fail, hang_up, job, region)
}  # fmt: skip
TOOLS |= {
    "structured_object": _structured({"value": "@exotic@"}),
    "structured_array": _structured(["a", "@exotic@"]),
    "structured_string": _structured("a"),
}
