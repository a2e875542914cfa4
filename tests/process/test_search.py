"""A resource that no server lists: all that may have it are asked, whatever the others do."""

import pytest

from tests.support.gateway import Gateway
from tests.support.library import library
from tests.support.mcp_client import McpClient
from tests.support.zoo import zoo

URI = "x:any"


@pytest.mark.parametrize("others", [["unknown"], ["broken"], ["gone"], ["gone", "broken"]])
@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "modern"])
def test_whoever_has_a_resource_serves_it_whatever_others_answer(
    others: list[str], legacy: bool
) -> None:
    """A server that is down or confused does not hide those that come after it."""
    servers = [library(f"s{number}", answer) for number, answer in enumerate([*others, "here"])]
    with Gateway(zoo(*servers)) as gateway, McpClient(gateway.port) as client:
        if legacy:
            client.initialize()
        status, message = client.request("resources/read", uri=URI)
    assert status == 200, message
    assert message["result"]["contents"] == [{"uri": URI, "text": "here"}]


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        (["unknown", "unknown"], -32602, "unknown"),
        (["broken", "unknown"], -32603, "broken"),
        (["unknown", "gone"], 32003, "server s1 exited with code 7"),
        (["gone", "broken"], -32603, "broken"),
        (["broken", "gone"], -32603, "broken"),
    ],
)  # fmt: skip
def test_of_several_failures_the_one_that_says_most_is_told(
    answers: list[str], code: int, words: str
) -> None:
    """That the resource is unknown is said only where all say so."""
    servers = [library(f"s{number}", answer) for number, answer in enumerate(answers)]
    with Gateway(zoo(*servers)) as gateway, McpClient(gateway.port) as client:
        _, message = client.request("resources/read", uri=URI)
    assert message["error"]["code"] == code, message
    assert words in message["error"]["message"]
