"""What clients declare, and what servers' requests need of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp._speedups import members
from only1mcp.protocol.client_features import (
    Feature,
    declare,
    needed,
    read_features,
    required_capabilities,
)

NOTHING = Feature(0)
EVERYTHING = Feature(127)
FEATURES = st.lists(st.sampled_from(list(Feature))).map(lambda some: Feature(sum(set(some))))
ASK, SAMPLE = "elicitation/create", "sampling/createMessage"


@pytest.mark.parametrize(
    ("capabilities", "features"),
    [
        (b"{}", NOTHING),
        (b'{"sampling":{}}', Feature.SAMPLING),
        (b'{"sampling":{"tools":{}}}', Feature.SAMPLING | Feature.SAMPLING_TOOLS),
        (b'{"sampling":{"context":{"x":1e400}}}', Feature.SAMPLING | Feature.SAMPLING_CONTEXT),
        (b'{"elicitation":{}}', Feature.ELICIT_FORM),
        (b'{"elicitation":{ }}', Feature.ELICIT_FORM),
        (b'{"elicitation":{"form":{}}}', Feature.ELICIT_FORM),
        (b'{"elicitation":{"form":{"applyDefaults":true}}}', Feature.ELICIT_FORM),
        (b'{"elicitation":{"url":{}}}', Feature.ELICIT_URL),
        (b'{"elicitation":{"form":{},"url":{}}}', Feature.ELICIT_FORM | Feature.ELICIT_URL),
        (b'{"elicitation":{"form":null,"url":null}}', Feature.ELICIT_FORM),
        (b'{"elicitation":{"form":null,"url":{}}}', Feature.ELICIT_URL),
        (b'{"elicitation":{"schemaValidation":true}}', Feature.ELICIT_FORM),
        (b'{"roots":{}}', Feature.ROOTS),
        (b'{"roots":{"listChanged":false}}', Feature.ROOTS),
        (b'{"roots":{"listChanged":true}}', Feature.ROOTS | Feature.ROOTS_CHANGED),
        (b'{ "\\u0072oots" : { "listChanged" : true } }', Feature.ROOTS | Feature.ROOTS_CHANGED),
        (b'{"experimental":{"sampling":{}},"extensions":{"a/b":{"roots":{}}}}', NOTHING),
    ],
)
def test_a_client_has_what_its_capabilities_declare(capabilities: bytes, features: Feature) -> None:
    """Elicitation without a mode is by form (2025-11-25, client/elicitation)."""
    assert read_features(capabilities) == features


@pytest.mark.parametrize("value", [b"null", b"true", b"1", b'"yes"', b"[]", b"[{}]"])
def test_capabilities_of_the_wrong_type_declare_nothing(value: bytes) -> None:
    """At either depth, and as a whole."""
    assert read_features(value) == NOTHING
    assert read_features(b"") == NOTHING
    assert read_features(b'{"sampling":%b,"roots":%b,"elicitation":%b}' % ((value,) * 3)) == NOTHING
    parts = b'{"sampling":{"tools":%b,"context":%b}}' % (value, value)
    assert read_features(parts) == Feature.SAMPLING


@pytest.mark.parametrize("value", [b"null", b"1", b'"true"', b"[]", b"{}"])
def test_only_true_announces_changes_of_the_roots(value: bytes) -> None:
    """`listChanged` is a boolean where the other parts are objects."""
    assert read_features(b'{"roots":{"listChanged":%b}}' % value) == Feature.ROOTS


def test_the_declaration_is_canonical() -> None:
    """Equal features are equal bytes: sessions towards a server are shared by them."""
    assert declare(NOTHING) == b"{}"
    assert declare(Feature.ROOTS | Feature.SAMPLING) == b'{"roots":{},"sampling":{}}'
    assert declare(EVERYTHING) == (
        b'{"elicitation":{"form":{},"url":{}},"roots":{"listChanged":true},'
        b'"sampling":{"context":{},"tools":{}}}'
    )


@given(FEATURES)
def test_what_is_declared_is_read_back_with_what_it_is_a_part_of(features: Feature) -> None:
    """Nobody has tools in sampling without sampling."""
    back = read_features(declare(features))
    parents = NOTHING
    if features & (Feature.SAMPLING_TOOLS | Feature.SAMPLING_CONTEXT):
        parents |= Feature.SAMPLING
    if features & Feature.ROOTS_CHANGED:
        parents |= Feature.ROOTS
    assert back == features | parents
    assert declare(back) == declare(features)
    assert json.loads(declare(features)) == required_capabilities(features)


@pytest.mark.parametrize("features", [NOTHING, Feature.SAMPLING, EVERYTHING])
def test_a_declaration_can_be_spliced_into_a_message(features: Feature) -> None:
    """It is one JSON object."""
    assert [key for key, _, _ in members(declare(features))] == list(
        required_capabilities(features)
    )


def test_a_missing_capability_is_told_as_an_object() -> None:
    """2026-07-28, basic/index: `requiredCapabilities` is a ClientCapabilities, not a list."""
    assert required_capabilities(Feature.SAMPLING) == {"sampling": {}}
    assert required_capabilities(Feature.ELICIT_URL) == {"elicitation": {"url": {}}}
    mutable = required_capabilities(Feature.ELICIT_URL)
    mutable["elicitation"]["url"]["x"] = 1
    assert required_capabilities(Feature.ELICIT_URL) == {"elicitation": {"url": {}}}


@pytest.mark.parametrize(
    ("method", "params", "feature"),
    [
        ("roots/list", b"", Feature.ROOTS),
        ("roots/list", b'{"mode":"url","tools":[]}', Feature.ROOTS),
        (ASK, b'{"message":"?"}', Feature.ELICIT_FORM),
        (ASK, b'{"mode":"form"}', Feature.ELICIT_FORM),
        (ASK, b'{"mode":null}', Feature.ELICIT_FORM),
        (ASK, b'{"mode":1e400}', Feature.ELICIT_FORM),
        (ASK, b"", Feature.ELICIT_FORM),
        (ASK, b'{"mode":"url"}', Feature.ELICIT_URL),
        (ASK, b'{"mode":"\\u0075rl"}', Feature.ELICIT_URL),
        (SAMPLE, b'{"messages":[]}', Feature.SAMPLING),
        (SAMPLE, b'{"includeContext":"none","tools":null,"toolChoice":null}', Feature.SAMPLING),
        (SAMPLE, b'{"tools":[]}', Feature.SAMPLING | Feature.SAMPLING_TOOLS),
        (SAMPLE, b'{"toolChoice":{}}', Feature.SAMPLING | Feature.SAMPLING_TOOLS),
        (SAMPLE, b'{"includeContext":"thisServer"}', Feature.SAMPLING | Feature.SAMPLING_CONTEXT),
        (SAMPLE, b'{"includeContext":"allServers","tools":[1]}',
         Feature.SAMPLING | Feature.SAMPLING_CONTEXT | Feature.SAMPLING_TOOLS),
        (SAMPLE, b'{"messages":[{"tools":[]}]}', Feature.SAMPLING),
    ],
)  # fmt: skip
def test_a_request_needs_its_feature_and_the_parts_it_uses(
    method: str, params: bytes, feature: Feature
) -> None:
    """A client must refuse tools that it did not declare, so nobody should send them."""
    assert needed(method, params) == feature


@pytest.mark.parametrize("method", ["ping", "sampling", "elicitation/complete", "tasks/get", ""])
def test_other_methods_are_no_requests_to_a_client(method: str) -> None:
    """The caller answers them itself, or refuses."""
    assert needed(method, b"{}") is None
