"""What clients are told of servers: the greeting and the lists."""

import pytest

from tests.matrix.client import Client
from tests.matrix.gaps import everywhere
from tests.matrix.sides import MODERN, Pair, Plain
from tests.matrix.stage import Stage
from tests.support.matrix.exotic import EXOTIC, EXOTIC_KEY

pytestmark = pytest.mark.real
LISTS = {
    "tools/list": ("tools", "name"), "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}  # fmt: skip


async def pages(client: Client, method: str) -> list[tuple[Plain, str]]:
    """Return all pages of a list, parsed and as they were."""
    found = []
    params: Plain = {}
    while True:
        reply = await client.request(method, params)
        found.append((reply.result, reply.raw))
        if "nextCursor" not in reply.result:
            return found
        params = {"cursor": reply.result["nextCursor"]}


@everywhere("greeting")
async def test_a_client_is_greeted_in_its_own_revision(pair: Pair, stage: Stage) -> None:
    """With what the server can do and has to say among the rest."""
    greeting = (await stage.client(pair.front)).greeting
    if pair.front.is_modern:
        assert greeting["supportedVersions"] == [MODERN]
        assert greeting["resultType"] == "complete"
        assert {"ttlMs", "cacheScope"} <= greeting.keys()
        assert "serverInfo" not in greeting
    else:
        assert greeting["protocolVersion"] == pair.front.revision
        assert greeting["serverInfo"]["name"] == "only1mcp"
        assert not {"resultType", "ttlMs", "cacheScope"} & greeting.keys()
    assert greeting["capabilities"]["resources"] == {"listChanged": True, "subscribe": True}
    assert greeting["capabilities"]["tools"] == {"listChanged": True}
    assert {"prompts", "completions", "logging"} <= greeting["capabilities"].keys()
    assert f"These are the instructions of {pair.back.id}." in greeting["instructions"]


@everywhere("lists in pages")
async def test_a_client_sees_all_that_a_server_lists(pair: Pair, stage: Stage) -> None:
    """Page by page on either side, under names of the server's own, each byte as it was."""
    client = await stage.client(pair.front)
    for method, (key, name) in LISTS.items():
        found = await pages(client, method)
        items = [item for result, _ in found for item in result[key]]
        names = [item[name] for item in items]
        assert len(names) == len(set(names))
        assert len(found) > 1 or key in ("prompts", "resources", "resourceTemplates")
        own = [item for item in items if pair.back.id in item[name]]
        assert own
        assert sum(raw.count(EXOTIC) for _, raw in found) == len(items)
        assert all(EXOTIC_KEY in item for item in own)
        for result, _ in found:
            assert ("resultType" in result) is pair.front.is_modern
            assert ("ttlMs" in result) is ("cacheScope" in result) is pair.front.is_modern


@everywhere("bad cursor")
async def test_a_cursor_that_nobody_gave_is_refused(pair: Pair, stage: Stage) -> None:
    """With the same error for every list."""
    client = await stage.client(pair.front)
    for method in LISTS:
        reply = await client.request(method, {"cursor": f"from-{pair.back.id}"})
        assert reply.error["code"] == -32602


@everywhere("output schemas")
async def test_output_schemas_are_such_as_the_client_can_read(pair: Pair, stage: Stage) -> None:
    """Legacy revisions know objects only: another root is put into one."""
    client = await stage.client(pair.front)
    tools = {
        tool["name"]: tool
        for result, _ in await pages(client, "tools/list") for tool in result["tools"]
    }  # fmt: skip
    plain = {"type": "object", "properties": {"value": {"type": "number"}}}
    assert tools[pair.name("structured_object")]["outputSchema"] == plain
    if pair.back.era == "legacy":
        assert pair.name("structured_array") not in tools
        return
    schema = tools[pair.name("structured_array")]["outputSchema"]
    if pair.front.is_modern:
        assert schema["type"] == "array"
        assert schema["items"] == {"$ref": "#/$defs/row"}
    else:
        assert (schema["type"], schema["required"]) == ("object", ["result"])
        assert schema["properties"]["result"]["items"] == {"$ref": "#/properties/result/$defs/row"}
