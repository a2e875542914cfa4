"""What real servers say of themselves goes through the gateway unchanged, but for the names."""

from typing import Any

import pytest

from tests.real.direct import LISTS, Direct
from tests.real.fleet import Fleet
from tests.real.http_server import HttpServer
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient

pytestmark = pytest.mark.real


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_items_keep_everything_but_their_names(
    tmp_path_factory: pytest.TempPathFactory, everything_http: HttpServer, pure: bool
) -> None:
    """Each schema, description, annotation and unknown key comes through as the server wrote it.

    One key does not cross eras: `execution` speaks of tasks, which the other era does not know.
    """
    config = Fleet(tmp_path_factory.mktemp("fleet"), everything_http.url).config()
    with Gateway(config, pure=pure) as gateway:
        views = {
            "legacy": _through(gateway, legacy=True), "modern": _through(gateway, legacy=False)
        }  # fmt: skip
        eras = {server["id"]: server["eras"][0] for server in gateway.status()["servers"]}
    for server in config["servers"]:
        if "command" in server:
            with Direct(server, eras[server["id"]]) as direct:
                own = direct.lists()
            assert own["tools"]
            era = eras[server["id"]]
            for of, through in views.items():
                _assert_contained(server["id"], own if of == era else _without_tasks(own), through)


def _through(gateway: Gateway, *, legacy: bool) -> dict[str, list[dict[str, Any]]]:
    """Return the merged lists as a client of one era sees them."""
    with McpClient(gateway.port) as client:
        if legacy:
            client.initialize()
        answers = {key: client.request(method)[1] for method, key in LISTS.items()}
    return {key: answer["result"][key] for key, answer in answers.items()}


def _without_tasks(own: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return a server's lists as a client of the other era is to see them."""
    tools = [
        {key: value for key, value in tool.items() if key != "execution"} for tool in own["tools"]
    ]
    return {**own, "tools": tools}


def _assert_contained(
    server_id: str, own: dict[str, list[dict[str, Any]]], through: dict[str, list[dict[str, Any]]]
) -> None:
    """Check that a server's items stand in the merged lists, in its own order."""
    for key in ("tools", "prompts"):
        prefix = f"{server_id}__"
        ours = [item for item in through[key] if item["name"].startswith(prefix)]
        assert ours == [{**item, "name": prefix + item["name"]} for item in own.get(key, [])]
    for key in ("resources", "resourceTemplates"):
        assert [item for item in through[key] if item in own.get(key, [])] == own.get(key, [])
