"""Answers that are kept, in the running gateway: whose they are, until when, and what is told."""

import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.cached import (
    WORKERS,
    Clients,
    Watch,
    clients_of,
    configured,
    look,
    read,
    shown,
    waiting,
)
from tests.support.changing_backend import META as PREFIX
from tests.support.changing_backend import PRIVATE, PUBLIC, SHORT, ChangingBackend
from tests.support.gateway import Gateway
from tests.support.keyed import ENV, SENT, Caller
from tests.support.mcp_client import META, McpClient, modern_headers
from tests.support.waiting import wait_until

CLEAR = "/api/v1/admin/cache/clear"


@pytest.fixture
def backend() -> Iterator[ChangingBackend]:
    """Run the server."""
    with ChangingBackend() as backend:
        yield backend


@pytest.fixture(params=[False, True], ids=["compiled", "pure"])
def gateway(request: pytest.FixtureRequest, backend: ChangingBackend) -> Iterator[Gateway]:
    """Run a gateway with two workers before it."""
    with Gateway(configured(backend), workers=WORKERS, pure=request.param, env=ENV) as gateway:
        yield gateway


@pytest.fixture
def on_each_worker(gateway: Gateway) -> Iterator[Clients]:
    """Return what finds clients on each worker."""
    with clients_of(gateway) as clients:
        yield clients


def test_each_worker_keeps_answers_and_no_two_callers_share_them(
    backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """Unless the server calls a resource public; and never the answers of tools."""
    for ann, tom in zip(on_each_worker(), on_each_worker("tom"), strict=True):
        mine, yours = look(ann), look(tom)
        assert mine != yours
        assert [look(ann), look(tom)] == [mine, yours]
        private = read(ann, PRIVATE), read(tom, PRIVATE)
        assert private[0] != private[1]
        assert (read(ann, PRIVATE), read(tom, PRIVATE)) == private
        assert read(ann, PUBLIC) == read(tom, PUBLIC)
    assert backend.counts["look"] == backend.counts[PRIVATE] == 2 * WORKERS
    assert backend.counts[PUBLIC] == WORKERS


def test_what_a_caller_may_not_reach_it_does_not_get_from_the_cache_either(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """Nor more than its rate; a hit counts like any call."""
    for ann in on_each_worker():
        assert read(ann, PUBLIC)
        look(ann)
    with Caller(gateway.port, "few") as few:
        _, refused = few.modern("tools/call", name="b__look", arguments={})
        assert "unknown tool" in refused["error"]["message"]
        statuses = [few.modern("resources/read", uri=PUBLIC)[0] for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert backend.counts[PUBLIC] == WORKERS


def test_a_resource_is_not_given_again_when_its_time_is_over(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """Until then it says how long it is still good."""
    ann = on_each_worker()[0]
    first = read(ann, SHORT)
    seen: list[tuple[str, int]] = []

    def renewed() -> bool:
        _, message = ann.modern("resources/read", uri=SHORT)
        result = message["result"]
        seen.append((result["contents"][0]["text"], result["ttlMs"]))
        return seen[-1][0] != first

    wait_until(renewed, "the resource is read again")
    left = [ttl for text, ttl in seen if text == first]
    assert left == sorted(left, reverse=True)
    assert all(0 <= ttl <= 700 for ttl in left)
    assert backend.counts[SHORT] == 2


CHANGES = ["tools", "resources", "updated", "all", "server", "tool", "client's name"]


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_asked_for_again_in_all_workers(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients, change: str
) -> None:
    """Whoever says so: the server, or who runs the gateway."""
    callers = on_each_worker()
    watch = Watch(gateway.port)
    try:
        before = [(look(one), read(one, PRIVATE)) for one in callers]
        assert [(look(one), read(one, PRIVATE)) for one in callers] == before
        make(change, gateway, backend)
        is_tool = change != "updated"
        is_read = change not in ("tool", "client's name")

        def seen_by_all() -> bool:
            now = [(look(one), read(one, PRIVATE)) for one in callers]
            return all(
                (a != c, b != d) == (is_tool, is_read)
                for (a, b), (c, d) in zip(now, before, strict=True)
            )

        wait_until(seen_by_all, f"the change {change} is seen")
        assert backend.counts["look"] == (2 if is_tool else 1) * WORKERS
        assert backend.counts[PRIVATE] == (2 if is_read else 1) * WORKERS
    finally:
        watch.close()


def make(change: str, gateway: Gateway, backend: ChangingBackend) -> None:
    """Change something."""
    match change:
        case "tools" | "resources":
            backend.announce(f"notifications/{change}/list_changed")
        case "updated":
            backend.announce("notifications/resources/updated", uri=PRIVATE)
        case "all":
            gateway.command("cache", "clear", "--json")
        case "server":
            gateway.command("cache", "clear", "b", "--json")
        case "tool":
            gateway.command("cache", "clear", "b", "look", "--json")
        case "client's name":
            gateway.command("cache", "clear", "b", "b__look", "--json")


@pytest.mark.parametrize(
    ("named", "code", "said"),
    [
        (("nobody",), "NOT_FOUND", "the servers are: b"),
        (("b", "lok"), "NOT_FOUND", "its tools are: look"),
        (("b", "b__lok"), "NOT_FOUND", "its tools are: look"),
        (("b", "B__look"), "NOT_FOUND", "its tools are: look"),
    ],
)
def test_what_there_is_not_cannot_be_cleared(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients,
    named: tuple[str, ...], code: str, said: str,
) -> None:  # fmt: skip
    """The command and the admin API name what there is; nothing else is forgotten."""
    ann = on_each_worker()[0]
    look(ann)
    error = gateway.command("cache", "clear", *named, "--json")["error"]
    assert (error["code"], error["hint"].startswith(said)) == (code, True), error
    query = urlencode(dict(zip(("server", "tool"), named, strict=False)))
    with Caller(gateway.port, "root") as root:
        response, told = root.ask("POST", f"{CLEAR}?{query}", SENT, b"")
        assert (response.status, json.loads(told)) == (404, {"error": error})
        response, told = root.ask("POST", f"{CLEAR}?tool=look", SENT, b"")
        assert (response.status, json.loads(told)["error"]["code"]) == (400, "NO_SERVER")
    assert look(ann) == "look 1"
    assert backend.counts["look"] == 1


@pytest.mark.parametrize("change", ["tools", "server"])
def test_an_answer_that_was_under_way_at_a_change_is_not_kept(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients, change: str
) -> None:
    """It was made of what there was before."""
    ann = on_each_worker()[0]
    backend.hold()
    answers: list[str] = []
    caller = threading.Thread(target=lambda: answers.append(look(ann)))
    caller.start()
    wait_until(lambda: backend.counts["look"] == 1, "the call has come")
    with Caller(gateway.port, "tom") as other:
        make(change, gateway, backend)
        if change == "tools":
            wait_until(lambda: "tools" in lists(gateway, backend, other), "the change is heard")
    backend.release()
    caller.join()
    assert answers == ["look 1"]
    assert look(ann) == "look 2"
    assert look(ann) == "look 2"


def lists(gateway: Gateway, backend: ChangingBackend, caller: Caller) -> list[str]:
    """Say whether the gateway has seen that the lists have changed: it offers a new tool."""
    if "new" not in backend.tools:
        backend.tools.append("new")
        backend.announce("notifications/tools/list_changed")
    del gateway
    return ["tools"] if "b__new" in caller.names() else []


def test_a_reload_that_declares_the_server_anew_takes_its_answers_away(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """One that changes something else does not."""
    ann = on_each_worker()[0]
    assert [look(ann), look(ann)] == ["look 1"] * 2
    config = configured(backend)
    config["proxy"]["page_size"] = 7
    gateway.configure(config)
    gateway.command("reload", "--json")
    assert look(ann) == "look 1"
    config["servers"][0]["timeout"] = "29s"
    gateway.configure(config)
    gateway.command("reload", "--json")
    assert [look(ann), look(ann)] == ["look 2"] * 2
    config["proxy"]["cache"]["enabled"] = False
    gateway.configure(config)
    gateway.command("reload", "--json")
    assert [look(ann), look(ann)] == ["look 3", "look 4"]


def test_errors_questions_and_answers_with_messages_are_asked_for_again(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """A question belongs to one call, an error may be gone, a message would be lost."""
    ann = on_each_worker()[0]
    assert [look(ann, "fail"), look(ann, "fail")] == ["fail 1", "fail 2"]
    meta = {**META, PREFIX + "clientCapabilities": {"elicitation": {}}, PREFIX + "logLevel": "info"}
    states = []
    for tool in ("ask", "ask", "tell", "tell"):
        name = f"b__{tool}"
        params = {"name": name, "arguments": {}, "_meta": meta}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = modern_headers("tools/call", name)
        ann.http.request("POST", "/mcp", json.dumps(body), {**headers, **ann._key})
        states.append(ann.http.getresponse().read())
    assert b'"ask 1"' in states[0]
    assert b'"ask 2"' in states[1]
    assert b"notifications/message" in states[2]
    assert b"notifications/message" in states[3]
    assert backend.counts == {"fail": 2, "ask": 2, "tell": 2}


def test_a_caller_cannot_poison_what_others_get(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """Not by its `_meta`, and not by parameters that only look the same."""
    for ann, tom in zip(on_each_worker(), on_each_worker("tom"), strict=True):
        meta = {**META, "example.com/as": "root"}
        status, _ = poisoned(tom, {"uri": PUBLIC, "_meta": meta})
        assert status == 200
        asked = backend.counts[PUBLIC]
        assert read(ann, PUBLIC) == f"{PUBLIC} {asked + 1}"
        assert read(ann, PUBLIC) == f"{PUBLIC} {asked + 1}"
        mine = look(ann, text="a")
        for other in ({"text": "a", "more": 1}, {"text": "a "}, {"Text": "a"}):
            assert look(ann, **other) != mine
        assert look(ann, text="a") == mine


def poisoned(caller: Caller, params: dict[str, Any]) -> tuple[int, bytes]:
    """Read a resource with any parameters."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params}
    response, text = caller.ask(
        "POST", "/mcp", modern_headers("resources/read", params["uri"]), json.dumps(body).encode()
    )
    return response.status, text


def test_equal_calls_at_the_same_time_reach_the_server_once(
    gateway: Gateway, backend: ChangingBackend
) -> None:
    """Once for each worker; each client gets the answer to its own request."""
    backend.hold()
    count = 16
    answers: list[str] = []

    def ask() -> None:
        with Caller(gateway.port, "ann") as caller:
            answers.append(look(caller, text="same"))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    wait_until(lambda: waiting(gateway) == count, "all wait")
    backend.release()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    assert backend.counts["look"] <= WORKERS
    assert set(answers) <= {"look 1", "look 2"}


def test_what_is_kept_is_shown_and_counted(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """By the command, in metrics, and in the log."""
    ann, other = on_each_worker()
    for caller in (ann, ann, ann, other):
        look(caller)
    row = shown(gateway)
    assert (row["hits"], row["joined"], row["misses"], row["entries"]) == (2, 0, 2, 2)
    assert row["hit_ratio"] == 0.5
    assert 600 < row["bytes"] < 2000
    code, out, _ = gateway.run("cache")
    assert code == 0
    assert out.splitlines()[1].split()[:6] == ["b", "2", "0", "2", "50%", "2"]

    numbers = itertools.count()

    def logged() -> bool:
        look(ann)  # of calls that go well the lane logs some
        look(ann, number=next(numbers))
        lines = [json.loads(line) for line in gateway.log.splitlines() if '"b__look"' in line]
        return {line["cache"] for line in lines} == {"hit", "miss"}

    wait_until(logged, "a hit and a miss are logged")
    gateway.command("cache", "clear", "--json")
    assert (shown(gateway)["entries"], shown(gateway)["bytes"]) == (0, 0)


@pytest.mark.parametrize("change", ["all", "server", "tool"])
def test_what_was_cleared_is_not_counted_any_more(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients, change: str
) -> None:
    """From when the command returns, in all workers."""
    callers = on_each_worker()
    for _ in range(3):
        for caller in callers:
            look(caller)
        assert shown(gateway)["entries"] == WORKERS
        make(change, gateway, backend)
        assert (shown(gateway)["entries"], shown(gateway)["bytes"]) == (0, 0)


def test_a_worker_that_is_replaced_keeps_nothing(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """Nor is what its predecessor kept counted any more."""
    for caller in on_each_worker():
        look(caller)
    assert shown(gateway)["entries"] == WORKERS
    gateway.command("restart", "--json")
    wait_until(lambda: shown(gateway)["entries"] == 0, "the old workers are gone")
    for caller in on_each_worker():
        look(caller)
    assert backend.counts["look"] == 2 * WORKERS
    assert shown(gateway)["entries"] == WORKERS


def test_a_server_that_there_is_not_cannot_be_cleared(gateway: Gateway) -> None:
    """The command says so and exits with 3."""
    code, _, err = gateway.run("cache", "clear", "nobody")
    assert (code, "there is no server 'nobody'" in err) == (3, True)


def test_metrics_have_the_ratio_of_each_server(backend: ChangingBackend) -> None:
    """Summed over the workers."""
    config = configured(backend)
    del config["auth"]
    with Gateway(config, workers=WORKERS) as gateway, McpClient(gateway.port) as client:
        for _ in range(4):
            client.call("b__look")
        samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(gateway.get("/metrics")[1].decode())
            for sample in family.samples
        }
    assert samples["only1mcp_cache_hit_ratio", "b"] == 0.75
    assert samples["only1mcp_cache_requests_total", "b", "hit"] == 3
    assert samples["only1mcp_cache_entries", "b"] == 1
