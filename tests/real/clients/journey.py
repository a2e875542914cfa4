"""The journey that every Python SDK client takes; the same steps as in ts_client.mjs.

Not a part of the test process: it runs in the environments that scripts/install_real.py makes.
"""

from collections.abc import Awaitable, Callable
from typing import Any

Plain = dict[str, Any]


def plain(result: Any) -> Plain:
    """Return a result as it stood on the wire, whichever way an SDK names its fields."""
    dumped: Plain = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return dumped


async def travel(client: Any, types: Any, journey: Plain) -> Plain:
    """List everything, then call, read, prompt and complete as the journey says."""
    return {
        "tools": await drain(client.list_tools, "tools", "name"),
        "resources": await drain(client.list_resources, "resources", "uri"),
        "templates": await drain(
            client.list_resource_templates, "resourceTemplates", "uriTemplate"
        ),
        "prompts": await drain(client.list_prompts, "prompts", "name"),
        "calls": [
            plain(await client.call_tool(call["name"], call["arguments"]))
            for call in journey["calls"]
        ],
        "reads": [
            plain(await client.read_resource(uri))["contents"] for uri in journey["reads"]
        ],
        "got": [
            plain(await client.get_prompt(prompt["name"], prompt["arguments"]))["messages"]
            for prompt in journey["prompts"]
        ],
        "completions": [
            await complete(client, types, asked) for asked in journey["completions"]
        ],
    }  # fmt: skip


async def drain(ask: Callable[..., Awaitable[Any]], key: str, name: str) -> list[str]:
    """Read all pages of a list and return the items' names."""
    page = plain(await ask())
    names = [item[name] for item in page[key]]
    while cursor := page.get("nextCursor"):
        page = plain(await ask(cursor=cursor))
        names += [item[name] for item in page[key]]
    return names


async def complete(client: Any, types: Any, asked: Plain) -> list[str]:
    """Ask for the completion of one argument."""
    ref = asked["ref"]
    kind = types.PromptReference if "name" in ref else types.ResourceTemplateReference
    context = asked.get("context", {}).get("arguments")
    result = await client.complete(kind(**ref), asked["argument"], context)
    values: list[str] = plain(result)["completion"]["values"]
    return values
