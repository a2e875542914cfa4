"""Servers' questions to the client of a call: elicitation, sampling, roots."""

import pytest

from tests.matrix.client import Client
from tests.matrix.gaps import everywhere
from tests.matrix.sides import Pair, Plain
from tests.matrix.stage import Stage
from tests.support.loop import eventually
from tests.support.matrix.exotic import EXOTIC

pytestmark = pytest.mark.real


def expected(client: Client, text: str, kind: str) -> Plain:
    """Return what a client answers to a question."""
    if kind == "roots":
        return {"roots": [{"uri": f"file:///{client.tag}"}]}
    if kind == "sampling":
        said = {"type": "text", "text": f"{client.tag} says {text}"}
        return {"role": "assistant", "content": said, "model": "m", "stopReason": "endTurn"}
    if kind == "url":
        return {"action": "accept"}
    return {"action": "accept", "content": {"name": f"{client.tag} for {text}"}}


async def check(pair: Pair, stage: Stage, rounds: list[list[str]]) -> list[Plain]:
    """Have the server ask all these, and see that it gets the answers of this very client.

    Returns the questions, as far as they can be told from those of other calls.
    """
    client, key = await stage.client(pair.front), stage.nonce()
    reply = await client.call(pair.name("ask"), key=key, rounds=rounds)
    assert reply.said["server"] == pair.back.id
    assert reply.said["answers"] == {
        f"{number}.{place}.{kind}": {"result": expected(client, f"{key}.{number}", kind)}
        for number, kinds in enumerate(rounds) for place, kind in enumerate(kinds)
    }  # fmt: skip
    asked = [one for one in client.asked if f'"{key}.' in one.raw]
    assert all(EXOTIC in one.raw for one in asked)
    return [one.params for one in asked]


@everywhere("elicitation by form")
async def test_a_server_gets_a_form_filled_in(pair: Pair, stage: Stage) -> None:
    """By the client whose call it is."""
    (params,) = await check(pair, stage, [["form"]])
    assert params["requestedSchema"]["properties"]["name"]["default"] == "Jo"
    assert "elicitationId" not in params


@everywhere("elicitation by URL")
async def test_a_server_has_a_url_opened(pair: Pair, stage: Stage) -> None:
    """A legacy client gets an id with it, a modern one none."""
    (params,) = await check(pair, stage, [["url"]])
    assert params["url"] == f"https://example.com/{params['message']}"
    assert ("elicitationId" in params) is not pair.front.is_modern


@everywhere("sampling")
async def test_a_server_gets_a_sample(pair: Pair, stage: Stage) -> None:
    """From the model of the client."""
    (params,) = await check(pair, stage, [["sampling"]])
    assert params["maxTokens"] == 100


@everywhere("roots")
async def test_a_server_gets_the_clients_roots(pair: Pair, stage: Stage) -> None:
    """Those of this client, not of another."""
    await check(pair, stage, [["roots"]])


@everywhere("several questions at once")
async def test_a_server_asks_several_things_at_once(pair: Pair, stage: Stage) -> None:
    """Each answer goes to its own question."""
    kinds = list(pair.front.kinds)
    await check(pair, stage, [[*kinds, *kinds]])


@everywhere("several rounds of questions")
async def test_a_server_asks_again_and_again(pair: Pair, stage: Stage) -> None:
    """Round after round of the same call."""
    await check(pair, stage, [["sampling"], list(pair.front.kinds), ["roots"], ["sampling"]])


@everywhere("a question of a prompt")
async def test_a_prompt_asks_the_client(pair: Pair, stage: Stage) -> None:
    """As a tool does."""
    client, key = await stage.client(pair.front), stage.nonce()
    params = {"name": pair.name("ask"), "arguments": {"key": key}}
    reply = await client.converse("prompts/get", params)
    assert f"{client.tag} for {key}.0" in reply.result["messages"][0]["content"]["text"]


@everywhere("a question of a resource")
async def test_a_resource_asks_the_client(pair: Pair, stage: Stage) -> None:
    """As a tool does."""
    client = await stage.client(pair.front)
    reply = await client.converse("resources/read", {"uri": pair.uri("ask")})
    assert f"{client.tag} for .0" in reply.result["contents"][0]["text"]


@everywhere("URL first")
async def test_a_call_that_needs_a_url_opened_first_is_done_after_that(
    pair: Pair, stage: Stage
) -> None:
    """2025-11-25 has an error for that, which the client of a legacy server handles itself."""
    client, key = await stage.client(pair.front), stage.nonce()
    reply = await client.call(pair.name("url_first"), key=key)
    url = f"https://example.com/{key}.0" if pair.leg_is_modern else f"https://example.com/{key}"
    if pair.front.is_modern or pair.leg_is_modern:
        asked = {one.params["url"] for one in client.asked if f"{key}" in one.raw}
        assert asked == {url}  # a program started anew for each call asks more than once
    else:
        assert reply.error["code"] == -32042
        assert reply.error["data"]["elicitations"][0]["url"] == url
        reply = await client.call(pair.name("url_first"), key=key)
    assert reply.said == "paid"


@everywhere("roots changed")
async def test_a_server_hears_that_the_clients_roots_have_changed(pair: Pair, stage: Stage) -> None:
    """On the connection that is this client's."""
    client, key, records = await stage.client(pair.front), stage.nonce(), stage.of(pair)
    await client.call(pair.name("echo"), key=key)
    method = "notifications/roots/list_changed"
    connection = (await records.wait("message", key))["connection"]
    before = len(records.find("message", method=method, connection=connection))
    assert await client.notify(method) in (0, 202)
    await eventually(
        lambda: len(records.find("message", method=method, connection=connection)) > before,
        f"{pair.back.id} hears of changed roots",
    )
