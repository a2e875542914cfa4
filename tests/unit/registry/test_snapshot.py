"""Merged lists: every name is somebody's, no name is taken away, and raw bytes stay raw."""

import json
import sys
from types import FrameType

from only1mcp.protocol.names import MAX_LENGTH
from only1mcp.protocol.pages import encode_cursor
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue, Item
from only1mcp.registry.snapshot import Target, build
from tests.support.catalogues import catalogue, server, snapshot, tool

ODD = (
    b'{ "description":"\\u0061\xc3\xa9", "name" :  "x" ,"inputSchema":{"$schema":"y","$defs":{},'
    b'"properties":{"name":{"const": 1.0},"n":{"maximum":1e400}}},"unknown":[ 1 ,2]}'
)


def names(raws: tuple[bytes, ...]) -> list[str]:
    """Return the names in a merged list."""
    return [json.loads(raw)["name"] for raw in raws]


def test_names_stand_under_their_server_s_prefix_in_configuration_order() -> None:
    """However late a server's catalogue came."""
    merged = build(
        7, [server("b"), server("a")],
        {"a": catalogue("a", tools="x y"), "b": catalogue("b", tools="x", prompts="p")}, 10,
    )  # fmt: skip
    assert names(merged.lists["tools"]) == ["b__x", "a__x", "a__y"]
    assert merged.tools["a__y"] == Target("a", "y", b'"y"')
    assert merged.prompts == {"b__p": Target("b", "p", b'"p"')}
    assert (merged.version, merged.collisions) == (7, ())


def test_of_a_tool_only_the_name_changes() -> None:
    """White space, numbers, escapes, unknown keys and inner names keep their bytes."""
    merged = build(1, [server("s")], {"s": Catalogue("s", tools=(Item("x", ODD),))}, 10)
    assert merged.lists["tools"] == (ODD.replace(b'"x"', b'"s__x"'),)


def test_without_a_prefix_not_a_byte_changes() -> None:
    """As conformance tests need it."""
    merged = build(1, [server("s", "")], {"s": Catalogue("s", tools=(Item("x", ODD),))}, 10)
    assert merged.lists["tools"] == (ODD,)
    assert merged.tools == {"x": Target("s", "x", b'"x"')}


def test_a_name_that_stands_twice_in_one_tool_is_replaced_where_readers_look() -> None:
    """The last one counts, for us as for them."""
    raw = b'{"name":"old","name":"x"}'
    merged = build(1, [server("s")], {"s": Catalogue("s", tools=(Item("x", raw),))}, 10)
    assert names(merged.lists["tools"]) == ["s__x"]


def test_the_first_configured_keeps_a_name_and_the_other_stays_reachable() -> None:
    """Under its prefixed name, with a warning."""
    servers = [server("a", ""), server("b", "")]
    known = {"a": catalogue("a", tools="read"), "b": catalogue("b", tools="read", prompts="read")}
    merged = build(1, servers, known, 10)
    assert merged.tools["read"].server_id == "a"
    assert merged.tools["b__read"] == Target("b", "read", b'"read"')
    assert merged.prompts["read"].server_id == "b"
    assert names(merged.lists["tools"]) == ["read", "b__read"]
    assert merged.collisions == (
        "tool 'read' of 'b' is served as 'b__read': 'a' has the name",
    )  # fmt: skip


def test_a_tool_cannot_take_a_name_that_looks_like_another_server_s() -> None:
    """Even when its server has no prefix and calls it so on purpose."""
    servers = [server("bank"), server("evil", "")]
    known = {"bank": catalogue("bank", tools="pay"), "evil": catalogue("evil", tools="bank__pay")}
    merged = build(1, servers, known, 10)
    assert merged.tools["bank__pay"].server_id == "bank"
    assert merged.tools["evil__bank__pay"].server_id == "evil"
    swapped = build(1, servers[::-1], known, 10)
    assert swapped.tools["bank__pay"].server_id == "evil"
    assert swapped.tools["bank__pay_2"] == Target("bank", "pay", b'"pay"')
    assert len(swapped.collisions) == 1


def test_a_server_that_offers_a_name_twice_loses_neither() -> None:
    """The names are numbered."""
    merged = build(1, [server("s")], {"s": catalogue("s", tools="x x x")}, 10)
    assert names(merged.lists["tools"]) == ["s__x", "s__x_2", "s__x_3"]
    assert len(merged.collisions) == 2


def test_long_names_are_cut_but_still_lead_to_their_tool() -> None:
    """The owner is called by the whole name."""
    long = "x" * 200
    merged = build(1, [server("s")], {"s": catalogue("s", tools=long)}, 10)
    ((name, target),) = merged.tools.items()
    assert len(name) == MAX_LENGTH
    assert (target.name, names(merged.lists["tools"])) == (long, [name])


def test_odd_names_are_written_as_json() -> None:
    """Quotes, other alphabets and line ends survive the prefix."""
    odd = 'a"\n\\é😀'
    merged = build(1, [server("s")], {"s": Catalogue("s", tools=(tool(odd),))}, 10)
    assert names(merged.lists["tools"]) == [f"s__{odd}"]
    assert json.loads(merged.tools[f"s__{odd}"].raw_name) == odd


def test_each_resource_is_listed_once_as_the_first_owner_describes_it() -> None:
    """Addresses are not renamed; the other one is said to be hidden."""
    merged = snapshot(
        catalogue("a", resources="x://1 x://2"), catalogue("b", resources="x://2 x://3")
    )
    assert merged.resources == {"x://1": "a", "x://2": "a", "x://3": "b"}
    assert names(merged.lists["resources"]) == ["x://1", "x://2", "x://3"]
    assert merged.collisions == ("resource 'x://2' of 'b' is hidden: 'a' has the URI",)


def test_each_template_is_listed_once_and_all_owners_are_asked() -> None:
    """In configuration order."""
    merged = snapshot(catalogue("a", templates="t://{x}"), catalogue("b", templates="t://{x}"))
    assert names(merged.lists["resourceTemplates"]) == ["t://{x}"]
    assert [owner for _, _, owner in merged.templates] == ["a", "b"]
    assert len(merged.collisions) == 1


def calls_to_merge(offer: Catalogue) -> int:
    """Return how many Python functions are called to merge an offer."""
    count = 0

    def profile(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        del frame, arg
        count += event == "call"

    sys.setprofile(profile)
    try:
        build(1, [server("s")], {"s": offer}, 10)
    finally:
        sys.setprofile(None)
    return count


def test_four_times_as_many_tools_of_one_name_cost_four_times_as_much() -> None:
    """What one server lists cannot hold up a worker."""
    few, many = (catalogue("s", tools="x " * count) for count in (100, 400))
    assert calls_to_merge(many) < 5 * calls_to_merge(few)


def test_templates_are_looked_up_and_not_compared_with_each_other() -> None:
    """For the same reason."""
    compared = 0

    class Counted(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    texts = [f"t://{number}/{{x}}" for number in range(100)]
    templates = tuple(Item(Counted(text), b'{"name":"t"}') for text in texts)
    merged = build(1, [server("s")], {"s": Catalogue("s", templates=templates)}, 10)
    assert len(merged.templates) == len(texts)
    assert compared < len(texts)


def test_a_server_that_was_never_met_offers_nothing_yet() -> None:
    """It is known all the same."""
    merged = build(1, [server("a"), server("b")], {"b": catalogue("b", tools="x")}, 10)
    assert list(merged.catalogues) == ["a", "b"]
    assert merged.catalogues["a"].eras == frozenset()
    assert names(merged.lists["tools"]) == ["b__x"]


def test_pages_hold_what_each_era_requires() -> None:
    """Hints for modern clients only; a cursor while there is more."""
    merged = snapshot(catalogue("a", tools="x y z"), page_size=2)
    modern = json.loads(merged.page("tools", Era.MODERN, 0))
    assert (modern["resultType"], modern["ttlMs"], modern["cacheScope"]) == (
        "complete", 0, "private",
    )  # fmt: skip
    assert modern["nextCursor"] == encode_cursor(2)
    legacy = json.loads(merged.page("tools", Era.LEGACY, 0))
    assert set(legacy) == {"tools", "nextCursor"}
    last = json.loads(merged.page("tools", Era.LEGACY, 2))
    assert [item["name"] for item in last["tools"]] == ["a__z"]
    assert set(last) == {"tools"}


def test_a_page_is_written_once() -> None:
    """A list costs a copy from then on."""
    merged = snapshot(catalogue("a", tools="x"))
    assert merged.page("tools", Era.LEGACY, 0) is merged.page("tools", Era.LEGACY, 0)
