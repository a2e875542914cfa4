"""What makes two calls the same."""

import json
from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.protocol.versions import Era
from only1mcp.proxy.cache_keys import (
    ANYBODY,
    asks_for_more,
    bare_params,
    caller_part,
    is_plain,
    prefix,
    whole,
)


def params(text: str) -> Any:
    """Read a call with these parameters."""
    return scan(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % text.encode())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"name":"x","arguments":{"a":1}}', '{"name":,"arguments":{"a":1}}'),
        ('{"_meta":{"a":1},"name":"x"}', '{"_meta":,"name":}'),
        ('{"name": "x" , "_meta": {}, "z": 1.0}', '{"name":  , "_meta": , "z": 1.0}'),
        ('{"arguments":{"name":"x","_meta":{}}}', '{"arguments":{"name":"x","_meta":{}}}'),
    ],
)
def test_only_the_values_of_name_and_meta_are_cut_out(text: str, left: str) -> None:
    """Every other byte counts; members of the same names further in are arguments."""
    assert bare_params(params(text), True) == left.encode()


def test_a_name_that_is_no_target_counts() -> None:
    """`resources/read` knows no name, but its server may."""
    assert bare_params(params('{"name":"x","_meta":{}}'), False) == b'{"name":"x","_meta":}'


def test_no_part_of_a_key_can_pass_for_another() -> None:
    """Whatever ids, targets and capabilities hold."""
    form = (Era.MODERN, False)
    keys = [
        whole(prefix(("a", edition), method, target, one_form, caps), caller, b"{}")
        for edition in (1, 11)
        for method in ("tools/call", "resources/read")
        for target in ("x", "x\0", 'x"', "")
        for one_form in (form, (Era.LEGACY, False), (Era.MODERN, True))
        for caps in (b"{}", b"legacy", b"legacy {}")
        for caller in (caller_part(""), caller_part("a"), caller_part("*"), ANYBODY)
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("key", ["inputResponses", "requestState", "task", "t\\u0061sk"])
def test_a_call_that_asks_for_more_is_recognised(key: str) -> None:
    """However its key is written."""
    assert asks_for_more(params(f'{{"name":"x","{key}":1}}'))
    assert not asks_for_more(params(f'{{"name":"x","arguments":{{"{key}":1}}}}'))


@pytest.mark.parametrize(
    ("meta", "plain"),
    [({}, True), ({"progressToken": 1, "traceparent": "x"}, True), ({"x/y": 1}, False),
     ({"io.modelcontextprotocol/protocolVersion": "2026-07-28"}, True), ([], True)],
)  # fmt: skip
def test_what_may_have_a_say_in_an_answer_is_recognised(meta: object, plain: bool) -> None:
    """The keys of the protocol have none; those of others may."""
    assert is_plain(params(json.dumps({"name": "x", "_meta": meta}))) is plain


def test_a_call_without_meta_is_plain() -> None:
    """There is nothing in it."""
    assert is_plain(params('{"name":"x"}'))
