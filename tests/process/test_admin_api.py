"""The admin API over the network: changes by administrators alone, and no programs, ever."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.gateway import Gateway
from tests.support.keyed import ENV, KEYS, keyed
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

ADMIN = "/api/v1/admin"
HOSTS = ("localhost", "127.0.0.1", "evil.example", "localhost.evil.example", "")
ORIGINS = (None, "http://localhost", "https://evil.example", "null", "file://")
KINDS = ("application/json", "application/x-www-form-urlencoded", "text/plain",
         "multipart/form-data; boundary=x", None)  # fmt: skip
CREDENTIALS = (None, "Bearer wrong", f"Bearer {KEYS['ann']}", f"Basic {KEYS['root']}")
CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "servers", {"id": "web", "url": "http://127.0.0.1:1/mcp"}),
    ("DELETE", "servers/files", None), ("POST", "servers/files/disable", {}),
    ("POST", "reload", {}), ("POST", "workers/restart", {}), ("POST", "cache/clear", {}),
    ("POST", "workers", {"workers": 2}),
)  # fmt: skip


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run a gateway with keys, of which one is an administrator's."""
    with Gateway(keyed(), workers=1, env=ENV) as gateway:
        yield gateway


def _ask(
    gateway: Gateway, verb: str, path: str, body: Any = None, **headers: str | None
) -> tuple[int, dict[str, Any]]:
    """Send a request with these headers; returns the status and the answer."""
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    text = (
        body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    )
    try:
        connection.request(verb, f"{ADMIN}/{path}", text, sent)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")
    finally:
        connection.close()


def _as_root(
    gateway: Gateway, verb: str, path: str, body: Any = None
) -> tuple[int, dict[str, Any]]:
    return _ask(
        gateway, verb, path, body, Authorization=f"Bearer {KEYS['root']}",
        Content_Type="application/json",
    )  # fmt: skip


def _ids(gateway: Gateway) -> list[str]:
    """Return the servers that are served."""
    servers = gateway.status()["servers"]
    return [server["id"] for server in servers if server["state"] != "disabled"]


def test_nobody_but_an_administrator_changes_anything(gateway: Gateway) -> None:
    """Whatever Host, Origin, kind of content and credentials say; and nothing breaks."""
    before = (gateway.directory / "config.yaml").read_text(), gateway.pids("worker")
    for host, origin, kind, credentials in product(HOSTS, ORIGINS, KINDS, CREDENTIALS):
        verb, path, body = CHANGES[0]
        status, _ = _ask(gateway, verb, path, body, Host=host, Origin=origin, Content_Type=kind,
                         Authorization=credentials)  # fmt: skip
        assert status in (400, 401, 403, 421), (host, origin, kind, credentials, status)
    for credentials, (verb, path, body) in product(CREDENTIALS, CHANGES):
        status, _ = _ask(gateway, verb, path, body, Content_Type="application/json",
                         Authorization=credentials)  # fmt: skip
        assert status in (401, 403), (credentials, path, status)
    assert ((gateway.directory / "config.yaml").read_text(), gateway.pids("worker")) == before


def test_an_administrator_is_not_led_by_a_web_page(gateway: Gateway) -> None:
    """Other hosts and origins are refused with any key, and what a form can send as well."""
    verb, path, body = CHANGES[0]
    for host, origin, kind in product(HOSTS, ORIGINS, KINDS):
        is_fine = host in HOSTS[:2] and origin in (None, "http://localhost") and kind == KINDS[0]
        if is_fine:
            continue
        status, _ = _ask(gateway, verb, path, body, Host=host, Origin=origin, Content_Type=kind,
                         Authorization=f"Bearer {KEYS['root']}")  # fmt: skip
        assert status in (400, 403, 415, 421), (host, origin, kind, status)
    assert _ids(gateway) == ["time", "files"]


def test_an_administrator_adds_switches_and_removes_servers(gateway: Gateway) -> None:
    """Each change is in the file and in force when it is answered; the log says who it was."""
    status, said = _as_root(gateway, *CHANGES[0])
    assert (status, said["reload"]["added"]) == (200, ["web"])
    assert _ids(gateway) == ["time", "files", "web"]
    for switch, ids in (("disable", ["time", "files"]), ("enable", ["time", "files", "web"])):
        assert _as_root(gateway, "POST", f"servers/web/{switch}", {})[0] == 200
        assert _ids(gateway) == ids
    assert _as_root(gateway, "DELETE", "servers/web")[0] == 200
    assert _as_root(gateway, "DELETE", "servers/web")[0] == 404
    assert _as_root(gateway, "POST", "reload", {})[0] == 200
    assert '"principal":"root"' in gateway.log
    assert KEYS["root"] not in gateway.log
    workers = gateway.pids("worker")
    assert _as_root(gateway, "POST", "workers/restart", {})[0] == 202
    wait_until(lambda: workers[0] not in gateway.pids("worker"), "another worker")


def test_an_administrator_changes_the_number_of_workers(tmp_path: Path) -> None:
    """In the file and at once; not if the start has said another one."""
    with Gateway(keyed(workers=1), workers=None, env=ENV, directory=tmp_path) as gateway:
        status, said = _as_root(gateway, "POST", "workers", {"workers": 2})
        assert (status, said["workers"], said["reload"]["ok"]) == (200, 2, True)
        wait_until(lambda: len(gateway.pids("worker")) == 2, "the other worker")
        assert yaml.safe_load((tmp_path / "config.yaml").read_text())["proxy"]["workers"] == 2
        for body, expected, code in (
            ({"workers": 1000}, 422, "CONFIG_INVALID"), ({"workers": True}, 400, "INVALID"),
            ({}, 400, "INVALID"), (b"{", 400, "INVALID"), ({"workers": "many"}, 400, "INVALID"),
        ):  # fmt: skip
            status, said = _as_root(gateway, "POST", "workers", body)
            assert (status, said["error"]["code"]) == (expected, code)
            assert said["error"]["hint"]


def test_the_number_of_workers_of_the_start_has_the_last_word(gateway: Gateway) -> None:
    """It was given with --workers."""
    status, said = _as_root(gateway, "POST", "workers", {"workers": 2})
    assert (status, said["error"]["code"]) == (409, "OVERRIDDEN")


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"command": "sh"}, "NO_PROGRAMS"),
        ({"url": "http://127.0.0.1:1/mcp", "env": {"A": "B"}}, "NO_PROGRAMS"),
        ({"url": "http://127.0.0.1:1/mcp", "transport": "stdio"}, "NO_PROGRAMS"),
        ({"url": "http://127.0.0.1:1/${HOME}"}, "NO_REFERENCES"),
        ({"url": "http://h/mcp", "headers": {"X": "${file:/etc/passwd}"}}, "NO_REFERENCES"),
        ({"url": "http://h/mcp", "auth": {"type": "bearer", "token_env": "KEY_ROOT"}},
         "NO_REFERENCES"),
        ({"instances": [{"url": "http://h/$${X}"}, {"url": "http://h/${X}"}]}, "NO_REFERENCES"),
    ],
)  # fmt: skip
def test_no_program_and_no_secret_of_this_machine_is_taken_over_the_network(
    gateway: Gateway, entry: dict[str, Any], code: str
) -> None:
    """Not from an administrator either, who could have what is here sent to an address of his."""
    status, said = _as_root(gateway, "POST", "servers", {"id": "x", **entry})
    assert (status, said["error"]["code"]) == (403, code)
    assert "only1mcp add" in said["error"]["hint"]
    assert _ids(gateway) == ["time", "files"]


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("POST", "servers", b"{", 400), ("POST", "servers", [1], 400),
        ("POST", "servers", {"id": "x"}, 422), ("POST", "servers", b"[" * 60_000, 400),
        ("POST", "servers", b" " * 70_000, 413), ("POST", "nothing", {}, 404),
        ("POST", "status", {}, 405), ("DELETE", "status", None, 405),
        ("DELETE", "servers/%2e%2e", None, 404), ("DELETE", "servers/%zz", None, 404),
        ("DELETE", "servers/%00", None, 404), ("PUT", "servers", {}, 405),
        ("POST", "servers/time/explode", {}, 404), ("GET", "nothing", None, 404),
        ("POST", "upgrade", {}, 403), ("POST", "servers", {"id": "time", "url": "http://h/m"}, 409),
    ],
)  # fmt: skip
def test_mistakes_of_administrators_are_told_in_json(
    gateway: Gateway, verb: str, path: str, body: Any, status: int
) -> None:
    """In one form, whichever of our processes finds them; none of them breaks anything."""
    found, said = _as_root(gateway, verb, path, body)
    assert found == status, said
    error = said["error"]
    assert said.keys() == {"error"}
    assert error.keys() - {"problems"} == {"code", "message", "hint"}
    assert error["code"] == error["code"].upper()
    assert error["message"]
    assert error["hint"]
    assert bool(error.get("problems")) == (status == 422)


def test_a_refusal_of_who_asks_has_the_form_of_every_other(gateway: Gateway) -> None:
    """Whoever asks the admin API need not know JSON-RPC, even for what never reaches it."""
    ann, root = f"Bearer {KEYS['ann']}", f"Bearer {KEYS['root']}"
    for headers, status, code in (
        ({}, 401, "UNAUTHENTICATED"),
        ({"Authorization": "Bearer wrong"}, 401, "INVALID_CREDENTIALS"),
        ({"Authorization": ann}, 403, "INSUFFICIENT_SCOPE"),
        ({"Authorization": root, "Origin": "https://evil.example"}, 403, "FORBIDDEN"),
    ):
        found, said = _ask(gateway, "GET", "status", **headers)
        assert (found, list(said)) == (status, ["error"])
        assert (list(said["error"]), said["error"]["code"]) == (["code", "message", "hint"], code)


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", f"cache/clear?server={'a' * 20_000}"), ("DELETE", f"servers/{'a' * 20_000}"),
        ("GET", "a" * 20_000), ("POST", f"servers/{'a' * 4000}/enable?{'%20' * 100}"),
    ],
)  # fmt: skip
def test_an_address_that_is_too_long_is_refused_in_the_form_of_every_other_refusal(
    gateway: Gateway, verb: str, path: str
) -> None:
    """Before it comes to control, which would answer in words and log a failure."""
    status, said = _as_root(gateway, verb, path, None if verb != "POST" else {})
    assert (status, said["error"]["code"]) == (414, "URI_TOO_LONG")
    assert len(said["error"]["message"]) < 200
    status, said = _as_root(gateway, "POST", f"cache/clear?server={'a' * 3900}", {})
    assert (status, said["error"]["code"]) == (404, "NOT_FOUND")
    assert "Traceback" not in gateway.log


@pytest.mark.parametrize("levels", [101, 254, 255, 1000, 2000])
def test_a_server_that_is_nested_too_deeply_is_refused_by_words_of_it(
    gateway: Gateway, levels: int
) -> None:
    """However deep: one that no reader of JSON bears, too."""
    deep = b'{"id": "web", "url": ' + b"[" * levels + b"]" * levels + b"}"
    status, said = _as_root(gateway, "POST", "servers", deep)
    assert (status, said["error"]["code"]) == (400, "INVALID")
    assert said["error"]["hint"].startswith('as {"id"')
    assert "Traceback" not in gateway.log
    assert "web" not in _ids(gateway)


def test_a_reload_of_a_file_with_mistakes_is_an_error_like_any_other(tmp_path: Path) -> None:
    """Beside it stands what is known of the reload."""
    with Gateway(keyed(), env=ENV, directory=tmp_path) as gateway:
        (tmp_path / "config.yaml").write_text("servers: 7\n")
        status, said = _as_root(gateway, "POST", "reload", {})
        assert (status, said["error"]["code"]) == (409, "CONFIG_INVALID")
        assert said["error"]["problems"] == said["reload"]["problems"] != []
        assert said["error"]["hint"]


def test_a_change_without_a_body_needs_its_media_type_all_the_same(gateway: Gateway) -> None:
    """The refusal says how to send it."""
    authorization = f"Bearer {KEYS['root']}"
    status, said = _ask(gateway, "POST", "reload", None, Authorization=authorization)
    assert status == 415
    assert said["error"]["hint"].startswith("send the header Content-Type: application/json")
    status, said = _ask(gateway, "POST", "reload", None, Authorization=authorization,
                        Content_Type="application/json")  # fmt: skip
    assert (status, said["reload"]["ok"]) == (200, True)


def test_what_is_no_server_is_refused_with_an_example(gateway: Gateway) -> None:
    """Whoever sends it by hand sees what is wanted."""
    for body in (b"{", [1], {"url": "http://127.0.0.1:1/mcp"}):
        status, said = _as_root(gateway, "POST", "servers", body)
        assert (status, said["error"]["code"]) == (400, "INVALID")
        assert '{"id": "search", "url": ' in said["error"]["hint"]


def test_without_keys_nobody_is_an_administrator() -> None:
    """The admin API tells callers on this host how things are, and changes nothing."""
    with Gateway(zoo(animal("a", "tame"))) as gateway:
        for verb, path, body in CHANGES:
            status, _ = _ask(gateway, verb, path, body, Content_Type="application/json")
            assert status == 405
        assert _ask(gateway, "GET", "status")[0] == 200
