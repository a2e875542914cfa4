"""What a server offers, between processes and from raw lists."""

import json
from dataclasses import replace

import pytest

from only1mcp.registry.catalogue import Catalogue, Item, items
from tests.support.catalogues import catalogue


def test_a_catalogue_survives_the_way_to_another_process() -> None:
    """Through JSON, raw items byte for byte."""
    raw = b'{"name":"x" , "n":1.0,"e":1e400,"u":"\\u0061\xc3\xa9"}'
    offer = catalogue("s", prompts="p", resources="r://1", templates="t://{a}", instructions="é")
    whole = replace(offer, tools=(Item("x", raw),))
    again = Catalogue.from_plain(json.loads(json.dumps(whole.to_plain())))
    assert again == whole
    assert again.tools[0].raw == raw


@pytest.mark.parametrize(
    "raw", [b"1", b"null", b'"x"', b"[]", b"{}", b'{"name":1}', b'{"name":null}', b'{"Name":"x"}']
)
def test_an_item_without_its_key_is_left_out(raw: bytes) -> None:
    """The others are not harmed."""
    good = b'{"name":"x"}'
    assert items([good, raw, good], "name") == (Item("x", good), Item("x", good))


def test_an_item_with_numbers_of_any_size_is_kept() -> None:
    """JSON knows no largest number."""
    raw = b'{"x":{"maximum":1e400,"minimum":-123456789012345678901234567890},"name":"\\u0078"}'
    assert items([raw], "name") == (Item("x", raw),)
