"""Lists that change when asked to, and all who are told."""

import contextlib
from typing import Any

from anyio import BrokenResourceError, ClosedResourceError
from mcp.server import ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.subscriptions import event_to_notification

from tests.support.conformance.call import Call
from tests.support.conformance.content import Block, text
from tests.support.conformance.offer import Prompts, Tools


class Changes:
    """Tools and prompts that come and go, with every modern stream and legacy session informed."""

    def __init__(self, tools: Tools, prompts: Prompts) -> None:
        self.bus = InMemorySubscriptionBus()
        self._tools = tools
        self._prompts = prompts
        self._sessions: list[Any] = []
        tools.tool("test_trigger_tool_change")(self.change_tools)
        tools.tool("test_trigger_prompt_change")(self.change_prompts)

    async def remember(self, ctx: ServerRequestContext, params: object) -> None:
        """Note a legacy session that has just begun."""
        del params
        self._sessions.append(ctx.session)

    async def change_tools(self, call: Call) -> list[Block]:
        """Add a tool, or take it away again."""
        del call
        if self._tools.pop("test_passing_tool", None) is None:
            self._tools.tool("test_passing_tool")(_pass_by)
        await self._tell(ToolsListChanged())
        return [text("The tools changed.")]

    async def change_prompts(self, call: Call) -> list[Block]:
        """Add a prompt, or take it away again."""
        del call
        if self._prompts.pop("test_passing_prompt", None) is None:
            self._prompts.prompt("test_passing_prompt")(_pass_by)
        await self._tell(PromptsListChanged())
        return [text("The prompts changed.")]

    async def _tell(self, event: ServerEvent) -> None:
        await self.bus.publish(event)
        for session in self._sessions:
            with contextlib.suppress(BrokenResourceError, ClosedResourceError):
                await session.send_notification(event_to_notification(event, {}))


async def _pass_by(call: Call) -> list[Block]:
    """Be there for a while."""
    del call
    return [text("Still here.")]
