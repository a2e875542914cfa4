"""A server with several instances, of which one goes, while it may ask its clients something."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.event_client import PostStream
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient

ANSWER = {"action": "accept", "content": {}}


@contextlib.contextmanager
def instance() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run one instance for the time of a block; yields its process and its address."""
    command = [sys.executable, "-m", "tests.support.asking_site"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def ask(gateway: Gateway, session: str) -> int:
    """Call the tool, answer its question; returns the process that asked."""
    with PostStream(gateway.port, session, "tools/call", name="s__ask", arguments={}) as stream:
        question = stream.until("elicitation/create")
        with McpClient(gateway.port, session) as aside:
            aside.answer(question["id"], ANSWER)
        answer = stream.next()
    assert answer is not None
    pid, said = json.loads(answer["result"]["content"][0]["text"])
    assert said == ANSWER
    return int(pid)


def opened(gateway: Gateway) -> str:
    """Open a session of a client that can be asked."""
    with McpClient(gateway.port) as client:
        return str(client.initialize(elicitation={}).session)


@pytest.mark.parametrize("victim", [0, 1])
def test_sessions_are_shared_out_and_outlive_their_instance(victim: int) -> None:
    """Each stays with one as long as that lives, and goes on with another when it does not."""
    with instance() as first, instance() as second:
        both = [first, second]
        places: list[dict[str, Any]] = [{"url": url} for _, url in both]
        config = {"servers": [{"id": "s", "transport": "http", "instances": places}]}
        with Gateway(config) as gateway:
            sessions = [opened(gateway) for _ in range(4)]
            before = [ask(gateway, session) for session in sessions]
            assert set(before) == {process.pid for process, _ in both}
            assert [ask(gateway, session) for session in sessions] == before
            both[victim][0].kill()
            both[victim][0].wait()
            survivor = both[1 - victim][0].pid
            assert {ask(gateway, session) for session in sessions} == {survivor}
            assert ask(gateway, opened(gateway)) == survivor


def test_a_server_whose_first_instance_is_down_serves_from_the_start() -> None:
    """Nobody notices but who asks for its status."""
    with instance() as (dead, gone), instance() as (alive, url):
        dead.kill()
        dead.wait()
        places = [{"url": gone}, {"url": url}]
        config = {"servers": [{"id": "s", "transport": "http", "instances": places}]}
        with Gateway(config) as gateway:
            sessions = [opened(gateway) for _ in range(3)]
            assert {ask(gateway, session) for session in sessions} == {alive.pid}
