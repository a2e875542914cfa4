"""The errand of every Python SDK client that comes another way in; the same as in ts_errand.mjs.

Not a part of the test process: it runs in the environments that scripts/install_real.py makes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.real.clients.journey import drain, plain

Plain = dict[str, Any]
Call = Callable[..., Awaitable[Any]]
NAME = "Ada"
ROOT = "file:///errand"
FORM = {"name": NAME, "username": NAME, "email": "ada@example.com", "check": True}


class Errand:
    """What a client is asked, told and answered.

    Args:
        types: the SDK's own types, whose fields are the same in both generations.
    """

    def __init__(self, types: Any) -> None:
        self._types = types
        self.logged: list[Any] = []
        self.changed = asyncio.Event()

    async def sample(self, context: Any, params: Any) -> Any:
        """Be a model that repeats what it hears."""
        del context
        said = params.messages[0].content.text
        content = self._types.TextContent(type="text", text=f"I hear: {said}")
        return self._types.CreateMessageResult(role="assistant", content=content, model="parrot")

    async def elicit(self, context: Any, params: Any) -> Any:
        """Be a user who fills in every form in the same way."""
        del context, params
        return self._types.ElicitResult(action="accept", content=FORM)

    async def roots(self, context: Any) -> Any:
        """Have one root."""
        del context
        return self._types.ListRootsResult(roots=[self._types.Root(uri=ROOT)])

    async def log(self, params: Any) -> None:
        """Note what a server logs."""
        self.logged.append(params.data)

    async def hear(self, message: Any) -> None:
        """Note that tools have changed."""
        notification = getattr(message, "root", message)
        if getattr(notification, "method", "") == "notifications/tools/list_changed":
            self.changed.set()

    async def run(self, client: Any, change: Callable[[Call], Awaitable[None]]) -> Plain:
        """List, call, be asked, be told.

        Args:
            client: the SDK's client.
            change: has the tools changed and waits until the client has heard of it.
        """

        async def call(name: str, arguments: Plain | None = None, **more: Any) -> str:
            result = plain(await client.call_tool(name, arguments or {}, **more))
            text: str = result["content"][-1]["text"]
            return text

        progress: list[list[float | None]] = []

        async def on_progress(done: float, total: float | None, message: str | None) -> None:
            del message
            progress.append([done, total])

        seen = {
            "tools": await drain(client.list_tools, "tools", "name"),
            "echo": await call("everything__echo", {"message": "größe"}),
            "progress": await call("conf__test_tool_with_progress", progress_callback=on_progress),
            "logging": await call("conf__test_tool_with_logging"),
            "sampled": await call("conf__test_sampling", {"prompt": "one"}),
            "elicited": await call("conf__test_elicitation", {"message": "two"}),
            "sampled_on_stdio": await call(
                "everything__trigger-sampling-request", {"prompt": "three"}
            ),
            "elicited_on_stdio": await call("everything__trigger-elicitation-request"),
            "roots": await call("everything__get-roots-list"),
        }
        await change(call)
        return {**seen, "progress": progress, "logged": self.logged, "changed": True}
