"""Calls of every method: to the right server, and back, with every byte that is not ours."""

import json

import pytest

from only1mcp.protocol.headers import encode_value
from tests.matrix.client import OWN, Client, Reply
from tests.matrix.gaps import everywhere
from tests.matrix.http_carrier import HttpCarrier
from tests.matrix.sides import Pair, Plain
from tests.matrix.stage import Stage
from tests.support.matrix.exotic import EXOTIC, EXOTIC_KEY, write

pytestmark = pytest.mark.real
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def check_form(pair: Pair, reply: Reply, *, cacheable: bool = False) -> None:
    """Check that a result has the members of the client's era, and no others."""
    result = reply.result
    if pair.front.is_modern:
        assert result["resultType"] == "complete"
        assert ("ttlMs" in result) is ("cacheScope" in result) is cacheable
    else:
        assert not {"resultType", "ttlMs", "cacheScope"} & result.keys()
        assert OWN + "serverInfo" not in result.get("_meta", {})


@everywhere("tools/call")
async def test_a_tool_call_reaches_its_server_and_comes_back_whole(
    pair: Pair, stage: Stage
) -> None:
    """Members that nobody knows are kept byte for byte, both ways."""
    client, key = await stage.client(pair.front), stage.nonce()
    arguments = {"key": key, "exotic": "@exotic@"}
    reply = await client.request("tools/call", {"name": pair.name("echo"), "arguments": arguments})
    assert reply.said == {"server": pair.back.id, "key": key}
    assert reply.raw.count(EXOTIC) == 3
    assert EXOTIC_KEY in reply.result["_meta"]
    check_form(pair, reply)
    sent = await stage.of(pair).wait("message", f'"key":"{key}","exotic":{EXOTIC}')
    params = json.loads(sent["raw"])["params"]
    assert params["name"] == "echo"
    assert sent["headers"].get("mcp-name", "echo") == "echo"


@everywhere("_meta")
async def test_metadata_passes_but_for_what_belongs_to_a_connection(
    pair: Pair, stage: Stage
) -> None:
    """A modern server gets the client's own capabilities, a legacy one none in a request."""
    client, key = await stage.client(pair.front), stage.nonce()
    meta = {"traceparent": TRACE, EXOTIC_KEY: "@exotic@"}
    await client.call(pair.name("echo"), meta, key=key)
    sent = await stage.of(pair).wait("message", key)
    found: Plain = json.loads(sent["raw"])["params"]["_meta"]
    assert f'"{EXOTIC_KEY}":{EXOTIC}' in sent["raw"]
    assert found.pop("traceparent") == TRACE
    found.pop(EXOTIC_KEY)
    if pair.leg_is_modern:
        assert found.pop(OWN + "clientCapabilities") == client.capabilities
        assert found.pop(OWN + "protocolVersion") == "2026-07-28"
        found.pop(OWN + "clientInfo")
        found.pop(OWN + "logLevel", None)
    assert found == {}


@everywhere("resources/read")
async def test_a_resource_is_read_from_the_server_that_has_it(pair: Pair, stage: Stage) -> None:
    """Whether it is listed or fits a template."""
    client, key = await stage.client(pair.front), stage.nonce()
    for path in ("static", f"items/{key}"):
        reply = await client.request("resources/read", {"uri": pair.uri(path)})
        assert reply.result["contents"][0]["text"] == path
        assert reply.raw.count(EXOTIC) == 2
        check_form(pair, reply, cacheable=True)
    blob = await client.request("resources/read", {"uri": pair.uri("blob")})
    assert blob.result["contents"] == [{"uri": pair.uri("blob"), "blob": "AAEC"}]


@everywhere("prompts/get")
async def test_a_prompt_comes_from_the_server_that_has_it(pair: Pair, stage: Stage) -> None:
    """Under its own name there."""
    client, key = await stage.client(pair.front), stage.nonce()
    params = {"name": pair.name("greet"), "arguments": {"key": key}}
    reply = await client.request("prompts/get", params)
    assert reply.result["messages"][0]["content"]["text"] == key
    assert reply.raw.count(EXOTIC) == 2
    check_form(pair, reply)


@everywhere("completion/complete")
async def test_an_argument_is_completed_by_the_server_that_knows_it(
    pair: Pair, stage: Stage
) -> None:
    """Of a prompt and of a template."""
    client, key = await stage.client(pair.front), stage.nonce()
    refs = (
        {"type": "ref/prompt", "name": pair.name("greet")},
        {"type": "ref/resource", "uri": pair.uri("items/{id}")},
    )
    for ref in refs:
        params = {"ref": ref, "argument": {"name": "who", "value": key}}
        reply = await client.request("completion/complete", params)
        assert reply.result["completion"]["values"] == [f"{key}ing of {pair.back.id}"]
        assert reply.raw.count(EXOTIC) == 1
        check_form(pair, reply)


@everywhere("structured content")
async def test_structured_content_is_such_as_the_client_can_read(pair: Pair, stage: Stage) -> None:
    """A modern server may return any value; legacy clients get it inside an object, and as text."""
    client = await stage.client(pair.front)
    values: dict[str, str] = {"object": f'{{"value":{EXOTIC}}}'}
    if pair.back.era != "legacy":
        values |= {"array": f'["a",{EXOTIC}]', "string": '"a"'}
    for shape, raw in values.items():
        reply = await client.call(pair.name(f"structured_{shape}"))
        crosses = pair.leg_is_modern and not pair.front.is_modern
        is_wrapped = not pair.front.is_modern and shape != "object"
        wanted = f'{{"result":{raw}}}' if is_wrapped else raw
        assert f'"structuredContent":{wanted}' in reply.raw
        if crosses:
            assert json.loads(reply.result["content"][0]["text"]) == json.loads(raw)
        else:
            assert reply.result["content"] == []


@everywhere("x-mcp-header")
async def test_an_argument_is_repeated_as_a_header_where_a_server_wants_that(
    pair: Pair, stage: Stage
) -> None:
    """Modern clients on HTTP send it, modern servers on HTTP get it; nobody else knows of it."""
    client, key = await stage.client(pair.front), stage.nonce()
    region = f"{key} in Köln"
    encoded = {"Mcp-Param-Region": encode_value(region)}
    params = {"name": pair.name("region"), "arguments": {"region": region}}
    reply = await client.request("tools/call", params, headers=encoded)
    assert reply.said == region
    sent = await stage.of(pair).wait("message", key)
    is_wanted = pair.leg_is_modern and pair.back.transport == "http"
    assert ("mcp-param-region" in sent["headers"]) is is_wanted


@everywhere("a tool's failure")
async def test_a_tool_that_fails_says_so_in_its_result(pair: Pair, stage: Stage) -> None:
    """That is no error of the protocol."""
    client = await stage.client(pair.front)
    reply = await client.call(pair.name("fail"), how="tool")
    assert reply.result["isError"] is True
    assert reply.result["content"][0]["text"] == '"it failed"'


@everywhere("errors")
async def test_an_error_of_the_server_reaches_the_client(pair: Pair, stage: Stage) -> None:
    """With its own code, and data that nobody knows."""
    client = await stage.client(pair.front)
    reply = await client.call(pair.name("fail"), how="protocol")
    assert (reply.error["code"], reply.error["message"]) == (-31999, "it failed")
    assert EXOTIC in reply.raw
    assert reply.status in (0, 200)


@everywhere("unknown names")
async def test_what_no_server_has_is_refused(pair: Pair, stage: Stage) -> None:
    """Tools and prompts by us, resources by the servers that might have had them."""
    client = await stage.client(pair.front)
    for method in ("tools/call", "prompts/get"):
        reply = await client.request(method, {"name": pair.name("nothing")})
        assert reply.error["code"] == -32602
    uri = pair.uri(f"missing/{stage.nonce()}")
    reply = await client.request("resources/read", {"uri": uri})
    assert reply.error["code"] in ((-32602,) if pair.front.is_modern else (-32602, -32002))
    assert reply.error["data"] == {"uri": uri}
    await stage.of(pair).wait("message", uri)


@everywhere("ping")
async def test_a_ping_is_answered(pair: Pair, stage: Stage) -> None:
    """A server's too, while it is asked for something."""
    client = await stage.client(pair.front)
    assert (await client.request("ping")).result == {}


@everywhere("removed methods")
async def test_a_method_of_the_other_era_is_not_known(pair: Pair, stage: Stage) -> None:
    """Whatever the server behind speaks."""
    client: Client = await stage.client(pair.front)
    legacy: dict[str, Plain] = {"ping": {}, "logging/setLevel": {"level": "info"},
              "resources/subscribe": {"uri": pair.uri("static")},
              "resources/unsubscribe": {"uri": pair.uri("static")}}  # fmt: skip
    modern: dict[str, Plain] = {
        "server/discover": {},
        "subscriptions/listen": {"notifications": {}},
    }
    for method, params in (legacy if pair.front.is_modern else modern).items():
        reply = await client.request(method, params)
        assert reply.error["code"] == -32601
        assert reply.status in (0, 404 if pair.front.is_modern else 200)


@everywhere("a batch")
async def test_a_batch_is_as_good_as_its_members(pair: Pair, stage: Stage) -> None:
    """Calls, one of which asks its client, and one that fails; all that the server says comes."""
    client, key = await stage.client(pair.front), stage.nonce()
    echo = {"name": pair.name("echo"), "arguments": {"key": key, "exotic": "@exotic@"}}
    ask = {"name": pair.name("ask"), "arguments": {"key": key, "rounds": [["sampling"]]}}
    fail = {"name": pair.name("fail"), "arguments": {"how": "protocol"}}
    members = [client.expect("tools/call", params) for params in (echo, ask, fail)]
    members.append(client.expect("ping", {}))
    assert isinstance(client.carrier, HttpCarrier)
    client.carrier.send_batch(write(members))
    replies = [await client.finish(member["id"]) for member in members]
    assert replies[0].said == {"server": pair.back.id, "key": key}
    assert EXOTIC in replies[0].raw
    assert list(replies[1].said["answers"]) == ["0.0.sampling"]
    assert replies[2].error["code"] == -31999
    assert replies[3].result == {}
