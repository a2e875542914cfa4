"""The server put together: what it offers, behind the SDK's Streamable HTTP."""

from typing import Any

import mcp_types as types
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.mcpserver import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPError

from tests.support.conformance import asking, prompts, resources, tools
from tests.support.conformance.call import Call, InputRequiredError
from tests.support.conformance.changes import Changes
from tests.support.conformance.content import text
from tests.support.conformance.era import App, legacy_only, modern_only
from tests.support.conformance.events import Events
from tests.support.conformance.offer import Offer, Prompts, Tools

NAME = "conformance"
RETRY_MS = 100
ERAS = {"dual": lambda app: app, "modern": modern_only, "legacy": legacy_only}


def application(era: str) -> App:
    """Return the ASGI application that serves /mcp in these eras."""
    app = _server().streamable_http_app(event_store=Events(), retry_interval=RETRY_MS)
    only: App = ERAS[era](app)
    return only


def _server() -> Server:
    handlers = Handlers()
    server = Server(
        NAME, version="1.0.0",
        on_list_tools=handlers.list_tools, on_call_tool=handlers.call_tool,
        on_list_prompts=handlers.list_prompts, on_get_prompt=handlers.get_prompt,
        on_list_resources=handlers.list_resources, on_read_resource=handlers.read_resource,
        on_list_resource_templates=handlers.list_templates, on_completion=handlers.complete,
        on_subscribe_resource=handlers.agree, on_unsubscribe_resource=handlers.agree,
        on_subscriptions_listen=ListenHandler(handlers.changes.bus),
    )  # fmt: skip
    # Through here because the argument of this name warns that logging is deprecated.
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, handlers.agree)
    server.add_notification_handler(
        "notifications/initialized", types.NotificationParams, handlers.changes.remember
    )
    security = RequestStateSecurity.ephemeral()
    server.middleware.append(RequestStateBoundary(security, default_audience=NAME))
    _announce_changes(server)
    return server


def _announce_changes(server: Server) -> None:
    """Tell legacy clients too that lists may change; the HTTP transport takes no options for it."""
    announced = NotificationOptions(prompts_changed=True, tools_changed=True)
    original = server.create_initialization_options
    server.create_initialization_options = lambda: original(announced)


class Handlers:
    """One method for each request of the protocol."""

    def __init__(self) -> None:
        self._tools = Tools(tools.TOOLS | asking.TOOLS)
        self._prompts = Prompts(prompts.PROMPTS)
        self.changes = Changes(self._tools, self._prompts)

    async def list_tools(self, ctx: ServerRequestContext, params: Any) -> Any:
        """Answer tools/list."""
        del ctx, params
        declared = [offer.declaration for offer in self._tools.values()]
        return types.ListToolsResult.model_validate({"tools": declared})

    async def call_tool(self, ctx: ServerRequestContext, params: Any) -> Any:
        """Answer tools/call."""
        offer = _find(self._tools, params.name, "tool")
        try:
            content, failed = await offer.function(Call(ctx, params)), False
        except InputRequiredError as needed:
            return needed.result
        except tools.ToolFailedError as failure:
            content, failed = [text(str(failure))], True
        return types.CallToolResult.model_validate({"content": content, "isError": failed})

    async def list_prompts(self, ctx: ServerRequestContext, params: Any) -> Any:
        """Answer prompts/list."""
        del ctx, params
        declared = [offer.declaration for offer in self._prompts.values()]
        return types.ListPromptsResult.model_validate({"prompts": declared})

    async def get_prompt(self, ctx: ServerRequestContext, params: Any) -> Any:
        """Answer prompts/get."""
        offer = _find(self._prompts, params.name, "prompt")
        try:
            contents = await offer.function(Call(ctx, params))
        except InputRequiredError as needed:
            return needed.result
        messages = [{"role": "user", "content": content} for content in contents]
        return types.GetPromptResult.model_validate({"messages": messages})

    async def list_resources(self, ctx: ServerRequestContext, params: Any) -> Any:
        """Answer resources/list."""
        del ctx, params
        return types.ListResourcesResult.model_validate({"resources": resources.RESOURCES})

    async def list_templates(self, ctx: ServerRequestContext, params: Any) -> Any:
        """Answer resources/templates/list."""
        del ctx, params
        listed = {"resourceTemplates": resources.TEMPLATES}
        return types.ListResourceTemplatesResult.model_validate(listed)

    async def read_resource(self, ctx: ServerRequestContext, params: Any) -> Any:
        """Answer resources/read."""
        del ctx
        contents = resources.read(params.uri)
        if contents is None:
            raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": params.uri})
        return types.ReadResourceResult.model_validate({"contents": [contents]})

    async def complete(self, ctx: ServerRequestContext, params: Any) -> Any:
        """Answer completion/complete with what was typed so far."""
        del ctx
        completion = {"values": [f"{params.argument.value}ing"], "total": 1}
        return types.CompleteResult.model_validate({"completion": completion})

    async def agree(self, ctx: ServerRequestContext, params: Any) -> Any:
        """Answer requests that only want to be heard."""
        del ctx, params
        return types.EmptyResult()


def _find(offers: dict[str, Offer], name: str, kind: str) -> Offer:
    if name not in offers:
        raise MCPError(types.INVALID_PARAMS, f"Unknown {kind}: {name}")
    return offers[name]
