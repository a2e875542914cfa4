"""What frames carry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp import errors
from only1mcp.errors import BackendTimeout, Only1MCPError, Overloaded
from only1mcp.links.wire import (
    CallFrame,
    decode_failure,
    decode_numbered,
    encode_failure,
    encode_numbered,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LEAVES = [kind for kind in vars(errors).values()
          if isinstance(kind, type) and issubclass(kind, Only1MCPError)]  # fmt: skip


@given(TEXT, TEXT, st.binary(max_size=50), st.sampled_from(["legacy", "modern"]))
def test_a_call_survives_with_its_parameters_byte_for_byte(
    server_id: str, method: str, params: bytes, era: str
) -> None:
    """Line ends in names or parameters included."""
    frame = CallFrame(server_id, method, params, era)
    assert CallFrame.decode(frame.encode()) == frame


@given(st.integers(0, 127), st.integers(0, 2**64 - 1), st.none() | st.integers(0, 7),
       st.none() | TEXT, st.booleans(), TEXT)  # fmt: skip
def test_a_call_says_whose_it_is_and_what_its_client_wants(
    features: int, session: int, level: int | None, token: str | None, own: bool,
    principal: str,
) -> None:  # fmt: skip
    """All of it survives, also what was never said."""
    frame = CallFrame("s", "m", b"{}", "legacy", features, session, level, token, own,
                      principal=principal)  # fmt: skip
    assert CallFrame.decode(frame.encode()) == frame


@given(st.integers(0, 2**64 - 1), st.binary(max_size=50))
def test_a_question_keeps_its_number_and_its_bytes(number: int, data: bytes) -> None:
    """And so does its answer."""
    assert decode_numbered(encode_numbered(number, data)) == (number, data)


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_a_failure_keeps_its_class_and_words(kind: type[Only1MCPError]) -> None:
    """So the worker answers as if the host had been in the same process."""
    again = decode_failure(encode_failure(kind("what\n", hint="do", detail="inside")))
    assert type(again) is kind
    assert (str(again), again.hint, again.detail) == ("what\n", "do", "inside")


def test_a_failure_without_a_hint_stays_without() -> None:
    """None is not a word."""
    again = decode_failure(encode_failure(BackendTimeout("late")))
    assert (again.hint, again.detail) == (None, None)


def test_a_failure_of_another_module_is_told_as_its_base() -> None:
    """The other process may not know the class."""

    class Special(Overloaded):
        """A failure that only one module knows."""

    assert type(decode_failure(encode_failure(Special("x")))) is Overloaded
