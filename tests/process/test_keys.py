"""Keys: who has none stays outside, and who has one finds what it allows, at every door."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import Gateway
from tests.support.keyed import ENV, KEYS, SENT, Caller, keyed
from tests.support.loop import on_loop

TIME = ["time__now", "time__convert", "time__diff"]
WORKERS = 4
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=[False, True], ids=["compiled", "pure"])
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Run a gateway that asks for keys."""
    with Gateway(keyed(), workers=2, pure=request.param, env=ENV) as gateway:
        yield gateway


DOORS = [
    ("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("PUT", "/mcp"), ("OPTIONS", "/mcp"),
    ("GET", "/sse"), ("POST", "/messages?session=1.0-x"), ("GET", "/ws"), ("GET", "/metrics"),
    ("GET", "/api/v1/admin/status"), ("GET", "/nothing"), ("GET", "/health/"), ("HEAD", "/metrics"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "path"), DOORS)
def test_without_a_key_every_door_is_closed(gateway: Gateway, verb: str, path: str) -> None:
    """With a challenge, and an error that says what to do."""
    with Caller(gateway.port, None) as caller:
        response, body = caller.ask(verb, path, SENT, b"{}" if verb == "POST" else None)
    assert response.status == 401
    assert response.getheader("WWW-Authenticate") == 'Bearer realm="only1mcp"'
    if verb != "HEAD":
        error = json.loads(body)["error"]  # the admin API has a member for the hint
        told = f"hint: {error['hint']}" if "hint" in error else error["message"]
        assert "hint: send Authorization: Bearer" in told


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz"])
def test_probes_need_no_key(gateway: Gateway, path: str) -> None:
    """Whoever watches the gateway knows no more than its address."""
    assert gateway.get(path)[0] == 200


def test_where_clients_look_for_an_authorization_server_there_is_none(gateway: Gateway) -> None:
    """They are told so, or they would ask for a key to learn how to get one."""
    assert gateway.get("/.well-known/oauth-protected-resource/mcp")[0] == 404


WRONG = [
    {"Authorization": f"Bearer {KEYS['ann'].upper()}"}, {"Authorization": KEYS["ann"]},
    {"Authorization": f"Bearer {KEYS['ann']}x"}, {"Authorization": f"Basic {KEYS['ann']}"},
    {"Authorization": f"Bearer {KEYS['ann']} {KEYS['ann']}"}, {"Authorization": "Bearer"},
    {"Authorization": f"Bearer {'A' * 6000}"}, {"X-Authorization": f"Bearer {KEYS['ann']}"},
    {"Cookie": f"Authorization=Bearer {KEYS['ann']}"}, {"Authorization": f"Bearer\t{KEYS['ann']}"},
]  # fmt: skip


@pytest.mark.parametrize("headers", WRONG, ids=map(str, range(len(WRONG))))
def test_what_is_not_exactly_a_key_is_refused(gateway: Gateway, headers: dict[str, str]) -> None:
    """On a connection that was let in before, too."""
    with Caller(gateway.port, None) as caller:
        good = {**SENT, "Authorization": f"Bearer {KEYS['ann']}"}
        assert caller.ask("DELETE", "/mcp", good)[0].status == 400
        assert caller.ask("POST", "/mcp", {**SENT, **headers}, b"{}")[0].status == 401


def test_a_key_is_read_from_the_header_alone(gateway: Gateway) -> None:
    """Addresses stand in logs."""
    with Caller(gateway.port, None) as caller:
        for name in ("access_token", "key", "token"):
            path = f"/mcp?{name}={KEYS['ann']}"
            assert caller.ask("POST", path, SENT, b"{}")[0].status == 401
    with Caller(gateway.port, None) as caller:
        loose = {"aUTHORIZATION": f"  bearer   {KEYS['ann']}  "}
        assert caller.ask("DELETE", "/mcp", loose)[0].status == 400  # let in: it names no session


def test_two_keys_are_no_key_and_a_head_beyond_the_limit_is_none(gateway: Gateway) -> None:
    """Refused before anybody reads them."""
    for twice in ((KEYS["ann"], KEYS["ann"]), (KEYS["ann"], "x")):
        with Caller(gateway.port, None) as caller:
            caller.http.putrequest("POST", "/mcp")
            for key in twice:
                caller.http.putheader("Authorization", f"Bearer {key}")
            caller.http.putheader("Content-Length", "2")
            caller.http.endheaders(b"{}")
            assert caller.http.getresponse().status == 400
    with Caller(gateway.port, None) as caller:
        huge = {"Authorization": f"Bearer {'A' * 40_000}"}
        assert caller.ask("GET", "/mcp", huge)[0].status == 431


def test_each_sees_and_calls_what_its_key_allows(gateway: Gateway) -> None:
    """What is not on the list is not there either."""
    with Caller(gateway.port, "ann") as ann, Caller(gateway.port, "tom") as tom:
        assert ann.names()[:3] == TIME
        assert tom.names() == TIME
        assert tom.modern("tools/call", name="time__now", arguments={})[0] == 200
        unknown = ann.modern("tools/call", name="time__nothing", arguments={})
        refused = tom.modern("tools/call", name="files__list", arguments={})
        assert refused[0] == unknown[0] == 200
        said, expected = refused[1]["error"], unknown[1]["error"]
        assert said == {**expected, "message": said["message"]}
        assert "unknown tool: files__list" in said["message"]
        assert ann.modern("tools/call", name="files__list", arguments={})[1]["result"]
    with Caller(gateway.port, "few") as few:
        names = few.names()
        assert names
        assert all(name.startswith("files__l") for name in names)
        assert few.modern("tools/call", name=names[0], arguments={})[1]["result"]
        for name in ("files__read", "files__search", "list", "FILES__LIST", "time__now"):
            assert few.modern("tools/call", name=name, arguments={})[1]["error"]["code"] == -32602


def test_a_session_is_its_owners_at_every_verb(gateway: Gateway) -> None:
    """Who has found the id of another's session has found nothing."""
    with Caller(gateway.port, "ann") as ann, Caller(gateway.port, "tom") as tom:
        session = ann.initialize()
        tom.session = session
        assert tom.legacy("tools/list")[0] == 404
        assert tom.legacy("ping")[0] == 404
        assert tom.ask("GET", "/mcp", {"Accept": "text/event-stream", **tom.own()})[0].status == 404
        assert tom.ask("DELETE", "/mcp", tom.own())[0].status == 404
        note = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}'
        assert tom.ask("POST", "/mcp", {**SENT, **tom.own()}, note)[0].status == 404
        status, answer = ann.legacy("tools/list")
        assert status == 200
        assert len(answer["result"]["tools"]) > len(TIME)
        assert ann.ask("DELETE", "/mcp", ann.own())[0].status == 200


def test_a_session_from_before_there_were_keys_is_nobodys(tmp_path: Path) -> None:
    """Clients open another, with their keys."""
    config = keyed()
    auth = config.pop("auth")
    with Gateway(config, directory=tmp_path) as open_gateway:
        with Caller(open_gateway.port, None) as caller:
            session = caller.initialize()
        port = open_gateway.port
    with (
        Gateway({**config, "auth": auth}, directory=tmp_path, port=port, env=ENV) as closed,
        Caller(closed.port, "ann") as ann,
    ):
        ann.session = session
        assert ann.legacy("tools/list")[0] == 404


def test_metrics_and_administration_are_for_administrators(gateway: Gateway) -> None:
    """They tell of servers that other keys may not know of."""
    for path in ("/metrics", "/api/v1/admin/status"):
        with Caller(gateway.port, "ann") as ann, Caller(gateway.port, "root") as root:
            response, _ = ann.ask("GET", path)
            assert response.status == 403
            assert "insufficient_scope" in (response.getheader("WWW-Authenticate") or "")
            assert root.ask("GET", path)[0].status == 200
            far = {"X-Forwarded-For": "192.0.2.1"}
            assert root.ask("GET", path, far)[0].status == 200


@on_loop
async def test_channels_belong_to_the_key_that_opened_them(gateway: Gateway) -> None:
    """A message of another's for the same stream finds no stream, in whatever worker."""
    base = f"http://127.0.0.1:{gateway.port}"
    ann, tom = ({"Authorization": f"Bearer {KEYS[owner]}"} for owner in ("ann", "tom"))
    async with aiohttp.ClientSession() as client, client.get(f"{base}/sse", headers=ann) as stream:
        address = ""
        while not address:
            line = (await asyncio.wait_for(stream.content.readline(), 20)).decode().strip()
            address = line.removeprefix("data: ") if line.startswith("data: /") else ""
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        for _ in range(6):
            async with client.post(base + address, json=ping, headers=tom) as refused:
                assert refused.status == 404
            async with client.post(base + address, json=ping) as refused:
                assert refused.status == 401
        async with client.post(base + address, json=ping, headers=ann) as taken:
            assert taken.status == 202
        async with client.ws_connect(f"{base}/ws", headers=tom, protocols=["mcp"]) as socket:
            await socket.send_json({
                "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {}}},
            })  # fmt: skip
            answer = await asyncio.wait_for(socket.receive_json(), 20)
            assert [tool["name"] for tool in answer["result"]["tools"]] == TIME


def test_the_log_knows_who_it_was_and_never_with_what(gateway: Gateway) -> None:
    """Nor does anything else that is printed."""
    with Caller(gateway.port, "tom") as tom:
        tom.modern("tools/call", name="time__nothing", arguments={})
    log = gateway.log
    line = next(line for line in log.splitlines() if "time__nothing" in line and "tom" in line)
    assert json.loads(line)["principal"] == "tom"
    shown = json.dumps(gateway.command("config", "show", "--json", "-c",
                                       str(gateway.directory / "config.yaml")))  # fmt: skip
    status = json.dumps(gateway.command("status", "--json", "--port", str(gateway.port)))
    assert '"id": "tom"' in shown
    for key in KEYS.values():
        assert key not in log + shown + status


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_a_rate_holds_over_all_workers_together(pure: bool) -> None:
    """Exactly so many calls go through, whoever serves them; lists cost nothing."""
    config = keyed(rate_limit={"enabled": True, "requests": 40, "per": "10h"})
    with (
        Gateway(config, workers=WORKERS, pure=pure, env=ENV) as gateway,
        ThreadPoolExecutor(8) as pool,
    ):

        def call(number: int) -> tuple[int, dict[str, object]]:
            with Caller(gateway.port, "ann") as ann:
                if number % 10 == 0:
                    assert ann.names()
                return ann.modern("tools/call", name="time__now", arguments={})

        answers = list(pool.map(call, range(100)))
        good = [answer for status, answer in answers if status == 200 and "result" in answer]
        bad = [answer for status, answer in answers if status == 429]
        assert (len(good), len(bad)) == (40, 60)
        _refusals_say_when_to_come_back(gateway)
        with Caller(gateway.port, "tom") as tom:
            assert tom.modern("tools/call", name="time__now", arguments={})[0] == 200
        with Caller(gateway.port, "root") as root:
            text = root.ask("GET", "/metrics")[1].decode()
    samples = {
        (sample.name, sample.labels.get("client_id")): sample.value
        for family in text_string_to_metric_families(text) for sample in family.samples
    }  # fmt: skip
    assert samples["only1mcp_rate_limit_exceeded_total", "ann"] == 62
    assert samples["only1mcp_rate_limit_exceeded_total", "tom"] == 0
    assert samples["only1mcp_client_requests_total", "tom"] == 1


def _refusals_say_when_to_come_back(gateway: Gateway) -> None:
    """Each in the way of its era; an SDK of the older one takes 429 for the connection's end."""
    with Caller(gateway.port, "ann") as ann:
        ann.initialize()
        status, answer = ann.legacy("tools/call", name="time__now", arguments={})
        assert (status, answer["error"]["code"]) == (200, 32007)
        assert "may come at once" in answer["error"]["message"]
        assert "hint: try again in" in answer["error"]["message"]
        body = {"jsonrpc": "2.0", "id": 9, "method": "tools/call",
                "params": {"name": "time__now"}}  # fmt: skip
        response, _ = ann.ask("POST", "/mcp", {**SENT, **ann.own()}, json.dumps(body).encode())
        assert 1 <= int(response.getheader("Retry-After") or 0) <= 36_000


def test_a_reload_does_not_fill_buckets_and_a_key_that_is_gone_is_gone() -> None:
    """Also on connections that were let in before; streams of its owner end."""
    config = keyed(rate_limit={"enabled": True, "requests": 2, "per": "10h"})
    keys = config["auth"]["keys"]
    with (
        Gateway(config, env=ENV) as gateway, Caller(gateway.port, "ann") as ann,
        Caller(gateway.port, "tom") as tom, Caller(gateway.port, "few") as few,
        Caller(gateway.port, "tom") as listener,
    ):  # fmt: skip
        for status in (200, 200, 429):
            assert ann.modern("tools/call", name="time__now", arguments={})[0] == status
        assert tom.names() == TIME
        assert "time__now" not in few.names()
        listener.initialize()
        accept = {"Accept": "text/event-stream", **listener.own()}
        stream, _ = listener.ask("GET", "/mcp", accept)
        assert stream.status == 200
        wider = [{**key, "servers": ["*"], "tools": ["*"]} if key["id"] == "few" else key
                 for key in reversed(keys) if key["id"] != "tom"]  # fmt: skip
        config["auth"]["keys"] = wider
        gateway.configure(config)
        assert gateway.command("reload", "--json", "--port", str(gateway.port))["data"]["ok"]
        assert ann.modern("tools/call", name="time__now", arguments={})[0] == 429
        assert tom.ask("POST", "/mcp", SENT, b"{}")[0].status == 401
        assert "time__now" in few.names()
        stream.read()  # it has an end
        config["auth"]["keys"] = keys
        gateway.configure(config)
        assert gateway.command("reload", "--json", "--port", str(gateway.port))["data"]["ok"]
        with Caller(gateway.port, "tom") as again:
            assert again.names() == TIME


def test_commands_send_the_key_that_they_are_given(gateway: Gateway, tmp_path: Path) -> None:
    """From the environment or a file, never from the command line."""
    file = tmp_path / "key"
    file.write_text(KEYS["tom"] + "\n")
    listed = gateway.command(
        "tools", "list", "--json", "--port", str(gateway.port), "--key-file", str(file)
    )
    assert [tool["name"] for tool in listed["data"]] == TIME
    refused = gateway.command("tools", "list", "--json", "--port", str(gateway.port))
    assert "a key is needed here" in refused["error"]["message"]
    assert refused["error"]["code"] == "UNAUTHENTICATED"
    assert refused["error"]["hint"] == "set ONLY1MCP_KEY, or name a file with --key-file"
    message = json.dumps({
        "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"}},
    })  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "only1mcp", "connect", gateway.url],
        env={**gateway.env, "ONLY1MCP_KEY": KEYS["tom"]}, input=message + "\n",
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout)["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_the_state_of_a_server_s_call_is_of_use_to_its_key_alone(pure: bool) -> None:
    """Its own client goes on with it; the server gets back what it wrote."""
    config = keyed()
    program = ["-m", "tests.support.matrix_server", "--transport", "stdio", "--era", "modern"]
    config["servers"].append(
        {"id": "m", "command": sys.executable, "args": program, "cwd": str(ROOT)}
    )
    call = {"name": "m__ask", "arguments": {"key": "k", "force": True}}
    with (
        Gateway(config, env=ENV, pure=pure) as gateway,
        Caller(gateway.port, "ann") as ann, Caller(gateway.port, "root") as root,
    ):  # fmt: skip
        wanted = ann.modern("tools/call", **call)[1]["result"]
        assert wanted["resultType"] == "input_required"
        answers = {key: {"action": "accept", "content": {}} for key in wanted["inputRequests"]}
        bring = {"requestState": wanted["requestState"], "inputResponses": answers}
        status, refused = root.modern("tools/call", **call, **bring)
        assert (status, refused["error"]["code"]) == (400, -32602)
        assert "call again without requestState" in refused["error"]["message"]
        assert "content" in ann.modern("tools/call", **call, **bring)[1]["result"]
