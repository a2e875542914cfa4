"""What modern clients' streams watch on the connections of their calls."""

import json

from only1mcp._speedups import scan
from only1mcp.errors import BackendLost
from only1mcp.host import pool, stream_watches
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import Feature
from tests.support.loop import eventually, on_loop
from tests.support.swimming import FakeMember, swimming

FORM, ROOTS = Feature.ELICIT_FORM, Feature.ROOTS
ANN, BOB = ("ann", int(FORM)), ("bob", int(FORM))
WORKER, OTHER = object(), object()
STREAM = (WORKER, 1)


def tell(member: FakeMember, uri: str, method: str = "notifications/resources/updated") -> None:
    """Have the server say that a resource was updated."""
    member.tell(scan(jsonrpc.notification(method, json.dumps({"uri": uri}).encode())))


def asked(member: FakeMember) -> list[tuple[str, str | None]]:
    """Return what a server is asked and is yet to answer."""
    return [(one.method, json.loads(one.params).get("uri")) for one, _ in member.calls]


SUBSCRIBED = [("resources/subscribe", "r://1")]
CALLED = [("tools/call", None)]


async def subscribed(member: FakeMember) -> None:
    """Wait until a server is asked to tell of the resource, and have it say that it will."""
    await eventually(lambda: asked(member) == SUBSCRIBED, "the server is asked to tell")
    member.answer()


@on_loop
async def test_a_call_waits_until_its_effects_will_be_told() -> None:
    """To the streams of its client, for what they watch."""
    async with swimming() as subject:
        subject.pool.watch(ANN, "r://1", STREAM)
        sink, _ = subject.call(principal="ann")
        (member,) = subject.members
        await subscribed(member)
        await eventually(lambda: asked(member) == CALLED, "the call is sent")
        tell(member, "r://1/part")
        tell(member, "x://1")
        tell(member, "r://1", "notifications/message")
        assert subject.updated == [(ANN, "r://1/part")]
        member.answer()
        assert len(sink.heard) == 1
        subject.call(principal="ann")
        assert asked(member) == CALLED  # it knows


@on_loop
async def test_a_server_that_refuses_is_not_asked_again() -> None:
    """The call goes on."""
    async with swimming() as subject:
        subject.pool.watch(ANN, "r://1", STREAM)
        subject.call(principal="ann")
        (member,) = subject.members
        await eventually(lambda: asked(member) == SUBSCRIBED, "the server is asked to tell")
        member.calls.pop(0)[1].on_failure(BackendLost("gone"))
        await eventually(lambda: asked(member) == CALLED, "the call is sent")


@on_loop
async def test_others_are_told_nothing_and_do_not_get_the_connection() -> None:
    """Neither those of another principal nor those that can be asked something else."""
    async with swimming() as subject:
        subject.pool.watch(ANN, "r://1", STREAM)
        subject.pool.watch(("ann", int(ROOTS)), "r://1", (WORKER, 2))
        subject.call(principal="ann")
        first = subject.members[0]
        await eventually(lambda: asked(first) == SUBSCRIBED, "the server is asked to tell")
        first.answer()
        await eventually(lambda: asked(first) == CALLED, "the call is sent")
        first.answer()
        subject.call(principal="bob")
        subject.call(principal="ann")
        assert [asked(one) for one in subject.members] == [CALLED] * 2
        tell(subject.members[0], "r://1")
        tell(subject.members[1], "r://1")
        assert subject.updated == [(ANN, "r://1")]


@on_loop
async def test_what_is_watched_later_is_watched_on_spare_connections_too() -> None:
    """And no longer heard of when nobody watches it."""
    async with swimming() as subject:
        subject.call(principal="ann")
        (member,) = subject.members
        member.answer()
        subject.pool.watch(BOB, "r://1", (WORKER, 2))
        assert asked(member) == []
        subject.pool.watch(ANN, "r://1", STREAM)
        await subscribed(member)
        tell(member, "r://1")
        subject.pool.beside.remove("r://1", STREAM)
        tell(member, "r://1")
        assert subject.updated == [(ANN, "r://1")]


@on_loop
async def test_a_connection_that_is_another_now_is_asked_again() -> None:
    """After the call that finds out, or else before the next one."""
    async with swimming() as subject:
        subject.call(principal="ann")
        (member,) = subject.members
        subject.pool.watch(ANN, "r://1", STREAM)
        for turn in range(2):
            member.answer()
            await subscribed(member)
            await eventually(lambda: member in subject.pool._spare, "it is spare")
            subject.call(principal="ann")
            assert asked(member) == CALLED, turn
            member.turned()
        member.answer()
        await subscribed(member)
        await eventually(lambda: member in subject.pool._spare, "it is spare")
        member.turned()
        subject.call(principal="ann")
        await eventually(lambda: asked(member) == SUBSCRIBED, "the server is asked first")


@on_loop
async def test_a_call_that_is_given_up_meanwhile_is_not_sent() -> None:
    """Its connection ends."""
    async with swimming() as subject:
        subject.pool.watch(ANN, "r://1", STREAM)
        _, cancel = subject.call(principal="ann")
        (member,) = subject.members
        await eventually(lambda: asked(member) == SUBSCRIBED, "the server is asked to tell")
        cancel()
        member.answer()
        await eventually(lambda: member.stopped, "the connection is ended")
        assert asked(member) == []


@on_loop
async def test_one_on_which_a_stream_waits_is_kept_longer() -> None:
    """Than others that are spare."""
    async with swimming() as subject:
        subject.pool.watch(ANN, "r://1", STREAM)
        subject.call(principal="ann")
        (member,) = subject.members
        await subscribed(member)
        await eventually(lambda: asked(member) == CALLED, "the call is sent")
        member.answer()
        assert subject.pool._idle_s(member) == pool.SESSION_IDLE_S
        subject.pool.beside.drop_link(OTHER)
        assert subject.pool._idle_s(member) == pool.SESSION_IDLE_S
        subject.pool.beside.drop_link(WORKER)
        assert subject.pool._idle_s(member) == pool.SPARE_IDLE_S


@on_loop
async def test_a_connection_watches_a_number_of_resources_and_no_more() -> None:
    """Each is a request that a call waits for; what streams watch outlasts a reload."""
    async with swimming() as subject, swimming() as after:
        for number in range(stream_watches.MAX_URIS + 1):
            subject.pool.watch(ANN, f"r://{number}", STREAM)
        after.pool.beside.inherit(subject.pool.beside)
        after.call(principal="ann")
        (member,) = after.members
        await eventually(lambda: len(member.calls) == stream_watches.MAX_URIS, "it is asked")
        while len(member.calls) > 1:
            member.answer()
        member.answer()
        await eventually(lambda: asked(member) == CALLED, "the call is sent")
