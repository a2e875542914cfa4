"""A server's declaration."""

import json
from dataclasses import asdict

from only1mcp.registry.server import Batching, BreakerPolicy, Instance, Routing, Server

WHOLE = Server(
    "s", "http", "p", "cmd", ("a", "b"), (("K", "v"),), "/", (Instance("http://h/", 2),),
    (("X", "secret"),), Routing("consistent_hash", hash_arguments=("a",)), BreakerPolicy(2),
    1.5, 2.5, 3.5, batching=Batching(0.25, 7),
)  # fmt: skip


def test_a_declaration_survives_the_way_to_another_process() -> None:
    """Equal and hashable again, as processes compare them."""
    again = Server.from_plain(json.loads(json.dumps(asdict(WHOLE))))
    assert again == WHOLE
    assert hash(again) == hash(WHOLE)


def test_what_may_be_secret_is_not_shown() -> None:
    """Neither headers nor environment."""
    assert "secret" not in repr(WHOLE)
    assert "'K'" not in repr(WHOLE)
