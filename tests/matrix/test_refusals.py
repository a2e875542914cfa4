"""Questions that are not answered, or answered by the wrong one, or wrongly."""

import pytest

from tests.matrix.client import Client, Heard
from tests.matrix.gaps import everywhere
from tests.matrix.http_carrier import HttpCarrier
from tests.matrix.sides import Pair, Plain
from tests.matrix.stage import Stage
from tests.support.loop import eventually

pytestmark = pytest.mark.real


def asking(pair: Pair, key: str, kind: str = "sampling") -> Plain:
    """Return the parameters of a call that asks its client one thing."""
    return {"name": pair.name("ask"), "arguments": {"key": key, "rounds": [[kind]]}}


async def question(client: Client, key: str) -> Heard:
    """Wait for the question of a call."""

    def find() -> Heard | None:
        return next((one for one in client.asked if f'"{key}.' in one.raw), None)

    return await eventually(find, f"{client.tag} is asked {key}")


@everywhere("declined")
async def test_a_user_can_decline(pair: Pair, stage: Stage) -> None:
    """The server learns that, and the call comes to an end."""
    client, key = await stage.client(pair.front), stage.nonce()
    client.answers[key] = {"result": {"action": "decline"}}
    reply = await client.converse("tools/call", asking(pair, key, "form"))
    assert reply.said["answers"] == {"0.0.form": {"result": {"action": "decline"}}}


@everywhere("an error as an answer")
async def test_a_client_can_answer_with_an_error(pair: Pair, stage: Stage) -> None:
    """A legacy server gets it; for a modern one the call ends, since it knows no such answer."""
    client, key = await stage.client(pair.front), stage.nonce()
    refusal = {"error": {"code": -1, "message": f"not for {key}"}}
    client.answers[key] = refusal
    reply = await client.converse("tools/call", asking(pair, key))
    if pair.leg_is_modern:
        assert reply.result["isError"] is True
    else:
        assert reply.said["answers"] == {"0.0.sampling": refusal}


@everywhere("nobody to ask")
async def test_a_client_that_cannot_be_asked_is_not_asked(pair: Pair, stage: Stage) -> None:
    """The server knows what it declared; a modern client learns what it would need."""
    client, key = await stage.client(pair.front, bare=True), stage.nonce()
    reply = await client.request("tools/call", asking(pair, key))
    if pair.front.is_modern:
        assert reply.error["code"] == -32021
        assert reply.error["data"] == {"requiredCapabilities": {"sampling": {}}}
        assert reply.status in (0, 400)
    else:
        assert "error" in reply.message or reply.result["isError"] is True
    assert client.asked == []


@everywhere("asked nevertheless")
async def test_a_client_that_declared_nothing_is_never_asked(pair: Pair, stage: Stage) -> None:
    """Although the server tries: it is told that nobody is there, and the call goes on or ends."""
    client, key = await stage.client(pair.front, bare=True), stage.nonce()
    params = asking(pair, key)
    params["arguments"]["force"] = True
    reply = await client.request("tools/call", params)
    if pair.leg_is_modern:
        assert reply.result["isError"] is True
    else:
        assert reply.said["answers"]["0.0.sampling"]["error"]["code"] == -32601
    assert client.asked == []


@everywhere("never answered")
async def test_a_call_whose_question_nobody_will_answer_is_cancelled(
    pair: Pair, stage: Stage
) -> None:
    """When the client leaves; nothing of it is left at the server."""
    key, records = stage.nonce(), stage.of(pair)
    async with stage.newcomer(pair.front) as client:
        client.silent_about.add(key)
        await client.start("tools/call", asking(pair, key))
        await question(client, key)
        if isinstance(client.carrier, HttpCarrier):
            await client.carrier.end_session()
        else:
            await client.carrier.vanish()
        await records.wait("cancelled", key=key)
        connection = (await records.wait("message", key))["connection"]
        await records.wait("close", connection=connection)


@everywhere("answered twice")
async def test_a_question_is_answered_once(pair: Pair, stage: Stage) -> None:
    """What comes after the first answer is refused and reaches nobody."""
    client, key = await stage.client(pair.front), stage.nonce()
    client.silent_about.add(key)
    request_id = await client.start("tools/call", asking(pair, key))
    asked = (await question(client, key)).message
    first = {"result": expected(key)}
    assert await client.respond(asked["id"], first) in (0, 202)
    reply = await client.finish(request_id)
    assert await client.respond(asked["id"], {"result": expected("else")}) in (0, 202, 400)
    assert reply.said["answers"] == {"0.0.sampling": first}


def expected(text: str) -> Plain:
    """Return a sample."""
    content = {"type": "text", "text": text}
    return {"role": "assistant", "content": content, "model": "m", "stopReason": "endTurn"}


@everywhere("answered by another")
async def test_nobody_else_can_answer(pair: Pair, stage: Stage) -> None:
    """Not even a client that knows the question's id."""
    client, thief = await stage.client(pair.front), await stage.client(pair.front, bare=True)
    key = stage.nonce()
    client.silent_about.add(key)
    request_id = await client.start("tools/call", asking(pair, key))
    asked = (await question(client, key)).message
    assert await thief.respond(asked["id"], {"result": expected("stolen")}) in (0, 202, 400)
    assert (await thief.call(pair.name("echo"), key=key)).said["key"] == key
    own = {"result": expected("own")}
    assert await client.respond(asked["id"], own) in (0, 202)
    assert (await client.finish(request_id)).said["answers"] == {"0.0.sampling": own}


@everywhere("tampered state")
async def test_a_state_that_was_altered_is_refused(pair: Pair, stage: Stage) -> None:
    """Whoever made it: the gateway, or a modern server; the true one is good still."""
    client, key = await stage.client(pair.front), stage.nonce()
    params = asking(pair, key)
    again = client.retry(params, await client.request("tools/call", params))
    state = again["requestState"]
    for altered in (f"{state}-TAMPERED", f"A{state[1:]}", state[:-1]):
        reply = await client.request("tools/call", {**again, "requestState": altered})
        assert reply.error["code"] == -32602
    assert (await client.request("tools/call", again)).said["server"] == pair.back.id


@everywhere("state of another call")
async def test_a_state_is_good_for_its_own_call_only(pair: Pair, stage: Stage) -> None:
    """The same tool with other arguments is another call."""
    client, key = await stage.client(pair.front), stage.nonce()
    params = asking(pair, key)
    again = client.retry(params, await client.request("tools/call", params))
    other = {**again, "arguments": {**again["arguments"], "key": "other"}}
    assert (await client.request("tools/call", other)).error["code"] == -32602


@everywhere("answers missing")
async def test_what_was_not_answered_is_asked_again(pair: Pair, stage: Stage) -> None:
    """Until it is."""
    client, key = await stage.client(pair.front), stage.nonce()
    params = asking(pair, key)
    first = await client.request("tools/call", params)
    again = {**client.retry(params, first), "inputResponses": {"not-asked": {}}}
    second = await client.request("tools/call", again)
    assert second.result["resultType"] == "input_required"
    assert second.result["inputRequests"] == first.result["inputRequests"]
    reply = await client.request("tools/call", client.retry(params, second))
    assert list(reply.said["answers"]) == ["0.0.sampling"]
