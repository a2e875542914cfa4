"""Tasks of 2026-07-28, from a real server through the real gateway to its clients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient
from tests.support.task_client import TaskClient
from tests.support.task_site import TaskSite, on_a_pipe

Config = dict[str, Any]


@contextmanager
def over_http() -> Iterator[Config]:
    """Run the server and configure a gateway in front of it."""
    with TaskSite("jobs") as site:
        yield {"servers": [{"id": "jobs", "url": site.url}]}


@contextmanager
def on_stdio() -> Iterator[Config]:
    """Configure a gateway that runs the server itself."""
    server = on_a_pipe("jobs")
    yield {"stdio": {"allowed_commands": [server["command"]]}, "servers": [server]}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((over_http, False), id="http-compiled"),
        pytest.param((over_http, True), id="http-pure"),
        pytest.param((on_stdio, False), id="stdio"),
    ],
)
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Run a gateway of three workers in front of a server with tasks."""
    surroundings: Callable[[], Any]
    surroundings, pure = request.param
    with surroundings() as config, Gateway(config, workers=3, pure=pure) as running:
        yield running


def test_a_task_is_followed_to_its_end_in_any_worker(gateway: Gateway) -> None:
    """Its id is ours, and the same wherever it stands; the server's is not to be seen."""
    with TaskClient(gateway.port) as client:
        task = client.begin("jobs__slow_compute", seconds=0.05, label="x")
        assert task["taskId"].startswith("o1t.")
    for _ in range(6):
        with TaskClient(gateway.port) as client:
            assert client.get(task["taskId"])["status"] in ("working", "completed")
    with TaskClient(gateway.port) as client:
        ended = client.until(task["taskId"], "completed")
    assert ended["result"]["content"] == [{"type": "text", "text": "jobs: computed x"}]


def test_a_task_that_needs_input_is_given_it(gateway: Gateway) -> None:
    """One answer after the other; what was answered is not asked again."""
    with TaskClient(gateway.port) as client:
        task_id = client.begin("jobs__multi_input")["taskId"]
        asked = client.until(task_id, "input_required")
        assert set(asked["inputRequests"]) == {"first", "second"}
        answer = {"action": "accept", "content": {}}
        for left in ({"second"}, set()):
            key = min(asked["inputRequests"])
            status, message = client.request(
                "tasks/update", taskId=task_id, inputResponses={key: answer}
            )
            assert (status, message["result"]) == (200, {"resultType": "complete"})
            asked = client.get(task_id)
            assert set(asked.get("inputRequests", {})) == left
        assert client.until(task_id, "completed")["result"]["isError"] is False


def test_a_task_is_cancelled_at_its_server(gateway: Gateway) -> None:
    """The acknowledgement says nothing of it."""
    with TaskClient(gateway.port) as client:
        task_id = client.begin("jobs__slow_compute", seconds=60)["taskId"]
        assert client.request("tasks/cancel", taskId=task_id)[1]["result"] == {
            "resultType": "complete"
        }
        client.until(task_id, "cancelled")


def test_a_subscription_tells_of_the_tasks_that_it_names(gateway: Gateway) -> None:
    """In whatever worker it is held; of a task that nobody knows it promises nothing."""
    with TaskClient(gateway.port) as client, TaskClient(gateway.port) as listener:
        task_id = client.begin("jobs__confirm_delete", filename="x")["taskId"]
        other = client.begin("jobs__confirm_delete", filename="y")["taskId"]
        client.until(task_id, "input_required")
        with listener.listening(task_id, "o1t.unknown") as stream:
            acknowledged = stream.next()["params"]
            assert acknowledged["notifications"] == {"taskIds": [task_id]}
            heard = _changes(client, task_id, other, stream.next)
    assert {message["method"] for message in heard} == {"notifications/tasks"}
    assert {message["params"]["taskId"] for message in heard} == {task_id}
    assert heard[-1]["params"]["result"]["content"][0]["text"] == "jobs: accept x"
    assert heard[-1]["params"]["_meta"] == acknowledged["_meta"]


def _changes(
    client: TaskClient, task_id: str, other: str, hear: Callable[[], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Go on with both tasks until one has ended; return what is heard of it."""
    answer = {"confirm": {"action": "accept", "content": {}}}
    for each in (other, task_id):
        client.request("tasks/update", taskId=each, inputResponses=answer)
    heard = [hear()]
    while heard[-1]["params"]["status"] != "completed":
        heard.append(hear())
    return heard


def test_who_does_not_declare_the_extension_gets_no_task(gateway: Gateway) -> None:
    """A tool that cannot do without says what is missing; one that does not care fails."""
    with McpClient(gateway.port) as client:
        assert client.call("jobs__slow_compute", seconds=0, label="x") == "jobs: computed x"
        status, message = client.request("tools/call", name="jobs__failing_job", arguments={})
        assert (status, message["error"]["code"]) == (400, -32021)
        assert message["error"]["data"]["requiredCapabilities"]["extensions"]
        for _ in range(2):  # the second one may go another way
            arguments = {"name": "jobs__insist", "arguments": {"name": "x"}}
            status, message = client.request("tools/call", **arguments)
            assert (status, message["error"]["code"]) == (200, 32005)


def test_a_legacy_client_is_not_given_modern_tasks(gateway: Gateway) -> None:
    """It is not told of any, and a task is no answer to it."""
    with McpClient(gateway.port) as client:
        client.initialize()
        assert client.call("jobs__slow_compute", seconds=0, label="x") == "jobs: computed x"
        assert client.request("tasks/get", taskId="x")[1]["error"]["code"] == -32601
        _, message = client.request("tools/call", name="jobs__insist", arguments={"name": "x"})
        assert message["error"]["code"] == 32005
        _, message = client.request("tools/call", name="jobs__greet", arguments={"name": "x"},
                                    task={"ttl": 1})  # fmt: skip
        assert message["result"]["content"][0]["text"] == "Hello, x!"


def test_a_task_outlives_the_gateway(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that it takes to find the task again is in the gateway's memory."""
    directory = Path(tmp_path_factory.mktemp("o1"))
    with over_http() as config:
        with Gateway(config, directory=directory) as first, TaskClient(first.port) as client:
            port, task_id = first.port, client.begin("jobs__confirm_delete", filename="x")["taskId"]
        with Gateway(config, directory=directory, port=port), TaskClient(port) as client:
            client.until(task_id, "input_required")


def test_a_task_is_asked_for_at_the_instance_where_it_began() -> None:
    """Calls go to all instances in turn; the tasks stay where they are."""
    with TaskSite("one") as one, TaskSite("two") as two:
        places = [{"url": one.url}, {"url": two.url}]
        turns = {"algorithm": "round_robin"}
        config = {"servers": [{"id": "jobs", "instances": places, "routing": turns}]}
        with Gateway(config, workers=2) as gateway, TaskClient(gateway.port) as client:
            ids = [client.begin("jobs__slow_compute", seconds=0)["taskId"] for _ in range(4)]
            results = [client.until(task_id, "completed")["result"] for task_id in ids]
            said = {result["content"][0]["text"].partition(":")[0] for result in results}
            assert said == {"one", "two"}
