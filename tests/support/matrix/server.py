"""What all transports and both eras have in common: the state of the server, and its answers."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from only1mcp.tasks import Tasks
from tests.support.matrix.call import (
    INVALID_PARAMS,
    NOT_FOUND_LEGACY,
    Call,
    RpcError,
)
from tests.support.matrix.exotic import EXOTIC_KEY, write
from tests.support.matrix.jobs import Job, Jobs
from tests.support.matrix.offers import Offers
from tests.support.matrix.questions import Plain
from tests.support.matrix.recorder import Recorder
from tests.support.matrix.tools import TOOLS, said

LISTS = {
    "tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}  # fmt: skip
CAPABILITIES: Plain = {
    "tools": {"listChanged": True}, "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True}, "completions": {}, "logging": {},
}  # fmt: skip
METHOD_NOT_FOUND = -32601


class Listener(Protocol):
    """Somebody who is told what changes: a legacy session, or a modern subscription."""

    def on_change(self, kind: str) -> None:
        """Hear that a list has changed."""

    def on_update(self, params: Plain) -> None:
        """Hear that a resource was updated."""

    def on_task(self, job: Job) -> None:
        """Hear that a task has another status."""


class MatrixServer:
    """One server process."""

    def __init__(self, name: str, eras: frozenset[str], recorder: Recorder) -> None:
        self.name = name
        self.eras = eras
        self.recorder = recorder
        self.offers = Offers(name, is_modern="modern" in eras)
        self.tasks = Tasks()
        self.listeners: set[Listener] = set()
        self.jobs = Jobs(self._task_changed)

    @property
    def info(self) -> Plain:
        """What the server calls itself."""
        return {"name": f"matrix-{self.name}", "version": "1"}

    @property
    def instructions(self) -> str:
        """What the server tells models."""
        return f"These are the instructions of {self.name}."

    def changed(self, kind: str) -> None:
        """Tell everybody that a list has changed."""
        for listener in list(self.listeners):
            listener.on_change(kind)

    def updated(self, uri: str, key: str) -> None:
        """Tell who watches a resource that it was updated, by the call of this name."""
        for listener in list(self.listeners):
            listener.on_update({"uri": uri, "key": key, EXOTIC_KEY: "@exotic@"})

    def _task_changed(self, job: Job) -> None:
        for listener in list(self.listeners):
            listener.on_task(job)

    def list_page(self, method: str, params: Plain) -> str:
        """Return the members of one page of a list."""
        page = self.offers.page(LISTS[method], params.get("cursor"))
        if page is None:
            raise RpcError(INVALID_PARAMS, "no such page")
        return page

    async def run(self, method: str, call: Call) -> Plain:
        """Return the result of a call.

        Raises:
            RpcError: it is answered with an error.
            InputRequiredError: the client of a modern call is asked first.
        """
        if method == "tools/call":
            return await self._call_tool(call)
        if method == "prompts/get":
            return await self._get_prompt(call)
        if method == "resources/read":
            return await self._read(call)
        if method == "completion/complete":
            return self._complete(call)
        raise RpcError(METHOD_NOT_FOUND, f"there is no {method}")

    async def _call_tool(self, call: Call) -> Plain:
        name = str(call.params.get("name"))
        if name in TOOLS and name in self.offers.lists["tools"]:
            return await TOOLS[name](self, call)
        if name in self.offers.lists["tools"]:  # one that came later
            return said(name)
        raise RpcError(INVALID_PARAMS, f"unknown tool {name}")

    async def _get_prompt(self, call: Call) -> Plain:
        name = str(call.params.get("name"))
        if name not in self.offers.lists["prompts"]:
            raise RpcError(INVALID_PARAMS, f"unknown prompt {name}")
        text = write(await call.ask(["form"], 0, stateful=True)) if name == "ask" else call.key
        content = {"type": "text", "text": text, EXOTIC_KEY: "@exotic@"}
        return {"messages": [{"role": "user", "content": content}], EXOTIC_KEY: "@exotic@"}

    async def _read(self, call: Call) -> Plain:
        uri = str(call.params.get("uri"))
        path = uri.removeprefix(self.offers.uri(""))
        is_known = uri in self.offers.lists["resources"] or path.startswith("items/")
        if uri == path or not is_known:
            code = INVALID_PARAMS if call.is_modern else NOT_FOUND_LEGACY
            raise RpcError(code, "resource not found", {"uri": uri})
        content: Plain = {"uri": uri, "text": path, EXOTIC_KEY: "@exotic@"}
        if path == "ask":
            content["text"] = write(await call.ask(["form"], 0, stateful=True))
        if path == "blob":
            content = {"uri": uri, "blob": "AAEC"}
        return {"contents": [content], EXOTIC_KEY: "@exotic@"}

    def _complete(self, call: Call) -> Plain:
        ref, argument = call.params.get("ref", {}), call.params.get("argument", {})
        known = {**self.offers.lists["prompts"], **self.offers.lists["resourceTemplates"]}
        if ref.get("name", ref.get("uri")) not in known:
            raise RpcError(INVALID_PARAMS, "nothing to complete")
        values = [f"{argument.get('value')}ing of {self.name}"]
        return {"completion": {"values": values, "total": 1, EXOTIC_KEY: "@exotic@"}}


async def answer(
    request_id: object, run: Callable[[], Awaitable[str]], finish: Callable[[str], None]
) -> None:
    """Run a request to its end and send the answer; one that is cancelled has none."""
    try:
        outcome = f'"result":{await run()}'
    except RpcError as error:
        outcome = f'"error":{write(error.plain)}'
    finish(f'{{"jsonrpc":"2.0","id":{write(request_id)},{outcome}}}')
