"""The ids under which clients know tasks."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.errors import BackendProtocolError, InvalidParams
from only1mcp.proxy.task_ids import MAX_BYTES, PREFIX, TaskIds, TaskRef

IDS = TaskIds(bytes(32))
REF = TaskRef("files", "786512e2-9e0d-44bd-8f29-789f320fe840", 2**64 - 1, "http://127.0.0.1/mcp")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100), st.integers(0, 2**64 - 1))
def test_an_id_says_in_any_worker_what_it_was_made_of(theirs: str, serial: int) -> None:
    """Also after a restart: all that it takes is the key."""
    ref = TaskRef("files", theirs, serial)
    sealed = IDS.seal(ref)
    assert TaskIds(bytes(32)).open(sealed) == ref
    assert set(sealed) <= set(string.ascii_letters + string.digits + "-_.")


def test_the_same_task_always_has_the_same_id() -> None:
    """Clients compare what they are told with what they know."""
    assert IDS.seal(REF) == IDS.seal(TaskRef(REF.server_id, REF.task_id, REF.serial, REF.place))
    assert len({IDS.seal(ref) for ref in (REF, TaskRef("a", "1"), TaskRef("a", "1", 7))}) == 3


def test_an_id_tells_nothing_of_what_it_is_made_of() -> None:
    """Neither the server nor its own id can be read from it."""
    sealed = IDS.seal(REF)
    assert "files" not in sealed
    assert REF.task_id not in sealed


def test_an_altered_id_is_unknown_whichever_part_is_altered() -> None:
    """Each character counts."""
    sealed = IDS.seal(REF)
    for at in range(len(sealed)):
        other = "A" if sealed[at] != "A" else "B"
        with pytest.raises(InvalidParams, match="unknown task"):
            IDS.open(sealed[:at] + other + sealed[at + 1 :])


@pytest.mark.parametrize(
    "foreign",
    ["", "t1", PREFIX, PREFIX + "A", PREFIX + "é", IDS.seal_cursor("files", None),
     PREFIX + IDS.seal_cursor("files", None), TaskIds(b"\1" * 32).seal(REF), IDS.seal(REF) + "A",
     IDS.seal(REF)[:-1]],
)  # fmt: skip
def test_an_id_that_is_not_ours_is_unknown(foreign: str) -> None:
    """A server's own, one of another gateway, something else that we sealed."""
    with pytest.raises(InvalidParams, match="unknown task"):
        IDS.open(foreign)


def test_a_server_may_not_name_a_task_at_any_length() -> None:
    """Its id has to fit into a header."""
    assert IDS.open(IDS.seal(TaskRef("a", "x" * MAX_BYTES))).task_id == "x" * MAX_BYTES
    with pytest.raises(BackendProtocolError, match="server a"):
        IDS.seal(TaskRef("a", "x" * (MAX_BYTES + 1)))


@pytest.mark.parametrize("cursor", [None, "", "n\u00e4chste"])
def test_a_cursor_names_a_server_and_that_server_s_own(cursor: str | None) -> None:
    """Both come back as they were."""
    assert IDS.open_cursor(IDS.seal_cursor("files", cursor)) == ("files", cursor)


@pytest.mark.parametrize("cursor", ["", "x", IDS.seal(REF), IDS.seal(REF)[len(PREFIX) :]])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    """As any other list would."""
    with pytest.raises(InvalidParams, match="cursor"):
        IDS.open_cursor(cursor)


@pytest.mark.parametrize("own", [b"1", b'"x y"', b'"\\u0061"'])
def test_a_progress_token_says_whose_it_is(own: bytes) -> None:
    """The client's own comes back byte for byte."""
    token = IDS.seal_token(7, own)
    assert IDS.open_token(token[1:-1].decode()) == (7, own)
    assert IDS.open_token("o1-1.0-5") is None
