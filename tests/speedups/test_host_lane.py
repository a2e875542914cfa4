"""Plain calls to a server of the host's: the same answers in the lane and in the common way."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from only1mcp import _speedups
from only1mcp.links.link import serve
from only1mcp.protocol.versions import Era
from tests.support.host_lane import HostedWorker, answer_to, hosted_worker, text_of
from tests.support.kept import WAYS, hits, misses, watched
from tests.support.lane import modern_request
from tests.support.loop import eventually, on_loop
from tests.support.messages import modern

ERAS = pytest.mark.parametrize("era", [Era.MODERN, Era.LEGACY])
COMPILED = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")


@ERAS
@COMPILED
@on_loop
async def test_the_lane_carries_calls_to_stdio_servers(era: Era) -> None:
    """Each that a client sends; none is left behind."""
    async with hosted_worker(era) as worker, worker.wire() as wire:
        for number in range(3):
            assert text_of(await answer_to(wire, worker.call("echo", f"t{number}"))) == f"t{number}"
        assert worker.line.carried == 3
        assert worker.lane.busy() == 0


@ERAS
@WAYS
@on_loop
async def test_answers_are_kept_where_that_is_wanted(era: Era, fast: bool) -> None:
    """Those that go well; the first of equal calls travels like any other."""
    async with hosted_worker(era, fast=fast, keeps="1h") as worker:
        carried = worker.line.carried if fast else 0
        for request_id in range(3):
            message = await worker.ask("untyped", "a", request_id)
            assert (message["id"], message["result"]["said"]) == (request_id, "a")
            assert text_of(await worker.ask("echo", "a", request_id)) == "a"
            assert "error" in await worker.ask("error", "a", request_id)
        assert (misses(worker), hits(worker)) == (5, 4)
        assert not fast or worker.line.carried - carried == 5


@COMPILED
@on_loop
async def test_a_client_that_leaves_before_its_call_was_sent_is_counted_as_one_that_left() -> None:
    """The call waited for room at its server, and had no number yet."""
    async with hosted_worker(max_calls=1) as worker, worker.wire() as wire:
        seen = watched(worker)
        first = worker.asking("hold", "a")
        await eventually(lambda: worker.lane.busy() == 1, "the first call")
        await wire.send(worker.call("echo", "b"))
        await eventually(lambda: worker.lane.busy() == 2, "the second to wait")
        wire.writer.transport.abort()
        await eventually(lambda: seen == ["cancelled"], "the second to be counted")
        assert worker.lane.busy() == 1
        first.cancel()


@ERAS
@WAYS
@on_loop
async def test_a_client_gets_its_own_id_back(era: Era, fast: bool) -> None:
    """As it wrote it, whatever it is."""
    async with hosted_worker(era, fast=fast) as worker:
        for request_id in ("mine", 0, -7, 'é " \\ x'):
            message = await worker.ask("echo", "hello", request_id)
            assert (message["id"], text_of(message)) == (request_id, "hello")


@ERAS
@WAYS
@on_loop
async def test_many_calls_with_equal_ids_are_kept_apart(era: Era, fast: bool) -> None:
    """Although the server answers them in the opposite order, when all have come."""
    async with hosted_worker(era, fast=fast) as worker:
        count = 1000 if fast and era is Era.MODERN else 100
        calls = [worker.asking("hold", f"t{n}") for n in range(count)]
        await eventually(lambda: worker.under_way == count, "all calls to have come")
        assert text_of(await worker.ask("free", "last")) == "last"
        assert [text_of(await call) for call in calls] == [f"t{n}" for n in range(count)]


@ERAS
@WAYS
@on_loop
async def test_errors_of_the_server_are_passed_on(era: Era, fast: bool) -> None:
    """With their code and message."""
    async with hosted_worker(era, fast=fast) as worker:
        message = await worker.ask("error", "so it is")
        assert message["error"] == {"code": -32602, "message": "so it is"}


@WAYS
@on_loop
async def test_a_result_without_its_type_is_completed(fast: bool) -> None:
    """As modern clients must be able to rely on it."""
    async with hosted_worker(fast=fast) as worker:
        result = (await worker.ask("untyped", "x"))["result"]
        assert (result["resultType"], result["said"]) == ("complete", "x")


@WAYS
@on_loop
async def test_a_task_that_nobody_wanted_is_an_error(fast: bool) -> None:
    """The client could do nothing with it."""
    async with hosted_worker(fast=fast) as worker:
        assert "error" in await worker.ask("task")


@ERAS
@WAYS
@pytest.mark.parametrize("odd", ["garbage", "stray", "string_id", "ask"])
@on_loop
async def test_what_is_no_answer_to_the_call_is_not_taken_for_it(
    era: Era, fast: bool, odd: str
) -> None:
    """Neither a broken line, nor a foreign id, nor a question; the answer behind it arrives."""
    async with hosted_worker(era, fast=fast) as worker:
        assert text_of(await worker.ask(odd, "real")) == "real"
        if odd == "ask":
            assert json.loads(text_of(await worker.ask("heard"))) == ["answer -32601"]


@WAYS
@on_loop
async def test_a_log_message_before_the_answer_reaches_the_only_caller(fast: bool) -> None:
    """On a stream, of a legacy server, which names no call in it."""
    async with hosted_worker(Era.LEGACY, fast=fast) as worker, worker.wire() as wire:
        await wire.send(worker.call("log", "note this"))
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert b"text/event-stream" in head
        said = await wire.reader.readuntil(b"0\r\n\r\n")
        assert said.index(b"notifications/message") < said.index(b'"result"')


@WAYS
@on_loop
async def test_large_answers_arrive_whole(fast: bool) -> None:
    """Those that are not copied, and those that come in many pieces."""
    async with hosted_worker(fast=fast) as worker:
        for size in (20_000, 300_000, 3_000_000):
            assert text_of(await worker.ask("large", size)) == "x" * size


@WAYS
@on_loop
async def test_large_questions_arrive_whole(fast: bool) -> None:
    """And come back as they went."""
    async with hosted_worker(fast=fast) as worker:
        text = "y" * 1_000_000
        assert text_of(await worker.ask("echo", text)) == text


@WAYS
@on_loop
async def test_an_answer_beyond_the_limit_ends_its_call_and_no_other(fast: bool) -> None:
    """The client hears why, and the server goes on."""
    async with hosted_worker(fast=fast) as worker:
        message = await worker.ask("overlong")
        assert "which is too large" in message["error"]["message"]
        assert text_of(await worker.ask("echo", "next")) == "next"


@WAYS
@on_loop
async def test_line_ends_in_a_request_do_not_end_the_message(fast: bool) -> None:
    """What follows them is no message of its own."""
    async with hosted_worker(fast=fast) as worker, worker.wire() as wire:
        params = {"name": "s__echo", "arguments": {"text": "one\ntwo"}}
        plain = json.loads(modern("tools/call", params))
        for indent, end in ((1, b"\n"), (1, b"\r\n")):
            body = json.dumps(plain, indent=indent).encode().replace(b"\n", end)
            message = await answer_to(wire, modern_request("tools/call", "s__echo", body))
            assert text_of(message) == "one\ntwo"
        assert json.loads(text_of(await answer_to(wire, worker.call("heard")))) == []


@ERAS
@WAYS
@on_loop
async def test_a_call_that_takes_too_long_is_cancelled(era: Era, fast: bool) -> None:
    """The client hears so, the server is told, and nothing is kept."""
    async with hosted_worker(era, timeout_s=0.5, fast=fast) as worker:
        message = await worker.ask("hold")
        assert "did not answer within 0.5 s" in message["error"]["message"]
        await _cancelled(worker)


@ERAS
@WAYS
@on_loop
async def test_a_client_that_leaves_cancels_its_call(era: Era, fast: bool) -> None:
    """The server is told, and nothing is kept."""
    async with hosted_worker(era, fast=fast) as worker:
        async with worker.wire() as wire:
            await wire.send(worker.call("hold"))
            await eventually(lambda: worker.under_way == 1, "the call to have come")
        await _cancelled(worker)


async def _cancelled(worker: HostedWorker) -> None:
    await eventually(lambda: worker.under_way == 0, "the call to be forgotten")
    assert json.loads(text_of(await worker.ask("heard"))) == ["cancelled"]
    assert worker.under_way == 0


@ERAS
@WAYS
@pytest.mark.parametrize("how", ["die", "kill"])
@on_loop
async def test_a_death_of_the_child_answers_the_calls_under_way(
    era: Era, fast: bool, how: str
) -> None:
    """All of them, at once; the next ones find its successor."""
    async with hosted_worker(era, fast=fast) as worker:
        calls = [worker.asking("hold") for _ in range(5)]
        await eventually(lambda: worker.under_way == 5, "the calls to have come")
        if how == "kill":
            os.kill(worker.pid, signal.SIGKILL)
            reason = "killed by SIGKILL during the call"
        else:
            calls.append(worker.asking("die"))
            reason = "exited with code 3 during the call"
        for call in calls:
            assert reason in (await call)["error"]["message"]
        await eventually(lambda: worker.server.status.restarts == 1, "a new child")
        await eventually(lambda: worker.server.status.state == "up", "it to be up")
        assert text_of(await worker.ask("echo", "again")) == "again"


@WAYS
@on_loop
async def test_a_child_that_reads_nothing_holds_up_nobody(fast: bool) -> None:
    """Its calls wait in the host, which goes on with everything else."""
    async with hosted_worker(fast=fast) as worker:
        asleep = worker.asking("sleep")
        much = "z" * 500_000
        calls = [worker.asking("echo", much) for _ in range(5)]
        await eventually(lambda: worker.under_way == 6, "the calls to have come")
        os.kill(worker.pid, signal.SIGKILL)
        for call in (asleep, *calls):
            assert "killed by SIGKILL" in (await call)["error"]["message"]


@COMPILED
@on_loop
async def test_calls_take_the_common_way_while_the_lane_has_no_link() -> None:
    """And the lane again, once it has."""
    async with hosted_worker() as worker:
        path: Path = worker.graph.context.shared.runtime_dir.lane_socket
        path.unlink()  # noqa: ASYNC240 - nothing else runs here
        worker.line.close()
        await eventually(lambda: worker.line.transport is None, "the link to be broken")
        assert text_of(await worker.ask("echo", "common")) == "common"
        door = await serve(path, worker.host.lane.line)
        await eventually(lambda: worker.line.transport is not None, "a new link")
        before = worker.line.carried
        assert text_of(await worker.ask("echo", "lane")) == "lane"
        assert worker.line.carried == before + 1
        door.close()


@COMPILED
@on_loop
async def test_no_call_is_sent_to_a_host_that_has_left() -> None:
    """Its links end one after the other; the first end that is seen counts for all."""
    async with hosted_worker() as worker:
        assert text_of(await worker.ask("echo", "lane")) == "lane"
        worker.graph.context.shared.runtime_dir.lane_socket.unlink()
        before = worker.line.carried
        link = worker.graph.link._link
        assert link is not None
        link.close()
        await eventually(lambda: worker.graph.link._link is not link, "the end to be seen")
        assert text_of(await worker.ask("echo", "common")) == "common"
        assert worker.line.carried == before


@COMPILED
@on_loop
async def test_a_broken_link_answers_the_calls_on_it_and_cancels_them() -> None:
    """The client hears that the host has gone, the server that nobody waits."""
    async with hosted_worker() as worker:
        call = worker.asking("hold")
        await eventually(lambda: worker.under_way == 1, "the call to have come")
        worker.line.close()
        assert "ended during the call" in (await call)["error"]["message"]
        await eventually(lambda: worker.under_way == 0, "the call to be forgotten")
        await eventually(lambda: worker.line.transport is not None, "a new link")
        assert json.loads(text_of(await worker.ask("heard"))) == ["cancelled"]


@COMPILED
@pytest.mark.parametrize(
    "bytes_sent",
    [b"\xff\xff\xff\xff\x0f" + bytes(8), b"\x00\x00\x00\x00\x03" + bytes(8),
     b"\x01\x00\x00\x00\x0f" + bytes(9)],
)  # fmt: skip
@on_loop
async def test_a_link_that_carries_no_frames_of_ours_is_broken(bytes_sent: bytes) -> None:
    """One too long, of a kind that workers do not send, or too short; others go on."""
    async with hosted_worker() as worker:
        path: Path = worker.graph.context.shared.runtime_dir.lane_socket
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(bytes_sent)
        assert await reader.read() == b""
        writer.close()
        assert text_of(await worker.ask("echo", "good")) == "good"


@COMPILED
@on_loop
async def test_frames_may_come_in_any_pieces() -> None:
    """Byte by byte, or several at once; each call is answered on its own."""
    async with hosted_worker() as worker:
        path: Path = worker.graph.context.shared.runtime_dir.lane_socket
        rest = b',"method":"tools/call","params":{"name":"echo","arguments":{"text":"%d"}}}'
        frames = b""
        for token in (7, 8, 9):
            payload = b"\0\0\0" + rest % token
            frames += len(payload).to_bytes(4, "little") + b"\x0f"
            frames += token.to_bytes(8, "little") + payload
        for step in (1, 5, 13, 40, len(frames)):
            reader, writer = await asyncio.open_unix_connection(str(path))
            for at in range(0, len(frames), step):
                writer.write(frames[at : at + step])
                await writer.drain()
                await asyncio.sleep(0)
            for token in (7, 8, 9):
                head = await reader.readexactly(13)
                assert (head[4], int.from_bytes(head[5:], "little")) == (16, token)
                payload = await reader.readexactly(int.from_bytes(head[:4], "little"))
                assert payload[0] == 1
                assert json.loads(payload[1:])["content"][0]["text"] == str(token)
            writer.close()


@COMPILED
@on_loop
async def test_a_server_with_an_unknown_number_is_declined() -> None:
    """The worker may ask for it in the common way, which knows what to say."""
    async with hosted_worker() as worker:
        path: Path = worker.graph.context.shared.runtime_dir.lane_socket
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"\x03\x00\x00\x00\x0f" + (5).to_bytes(8, "little") + b"\x63\x00\x00")
        assert await reader.readexactly(13) == bytes(4) + b"\x11" + (5).to_bytes(8, "little")
        writer.close()
