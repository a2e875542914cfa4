"""Sealed sessions: nothing but our own key makes or changes one."""

import string
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.errors import InvalidParams, SessionNotFound
from only1mcp.ingress.limits import Limits
from only1mcp.sessions.session import MAX_AGE_S, MAX_CLIENT_BYTES, Session, SessionSealer

KEY = bytes(range(32))
NOW = 1_800_000_000
CAPABILITIES = b'{"elicitation":{"form":{}},"x":1.0}'
INFO = '{"name":"é","version":"1"}'.encode()


def sealed() -> tuple[str, Session]:
    """Return an id and its session."""
    sealer = SessionSealer(KEY)
    session = sealer.create("2025-11-25", CAPABILITIES, INFO, NOW)
    return sealer.seal(session), session


def test_an_id_carries_the_whole_session_to_any_worker_with_the_key() -> None:
    """Also over a restart: nothing else is needed to open it."""
    session_id, session = sealed()
    opened = SessionSealer(KEY).open(session_id, NOW)
    assert opened == session
    assert (opened.capabilities, opened.client_info) == (CAPABILITIES, INFO)


def test_an_id_is_visible_ascii() -> None:
    """As 2025-11-25 demands."""
    session_id, _ = sealed()
    assert all("\x21" <= c <= "\x7e" for c in session_id)


def test_each_session_has_a_serial_and_an_id_of_its_own() -> None:
    """Even the same session sealed twice gives two ids, and no serial is 0."""
    sealer = SessionSealer(KEY)
    sessions = [sealer.create("2025-11-25", b"{}", b"", NOW) for _ in range(200)]
    assert len({session.serial for session in sessions}) == 200
    assert all(0 < session.serial < 2**64 for session in sessions)
    assert sealer.seal(sessions[0]) != sealer.seal(sessions[0])


def test_no_character_of_an_id_can_be_changed() -> None:
    """At every place, to several others."""
    session_id, _ = sealed()
    sealer = SessionSealer(KEY)
    others = cycle(string.ascii_letters + string.digits + "-_.=!é")
    for at in range(len(session_id)):
        for _ in range(6):
            forged = session_id[:at] + next(others) + session_id[at + 1 :]
            if forged != session_id:
                with pytest.raises(SessionNotFound):
                    sealer.open(forged, NOW)


def test_every_other_spelling_of_the_last_character_is_refused() -> None:
    """Base64 leaves some of its bits unused; they are not ours to ignore."""
    session_id, _ = sealed()
    for other in string.ascii_letters + string.digits + "-_":
        if other != session_id[-1]:
            with pytest.raises(SessionNotFound):
                SessionSealer(KEY).open(session_id[:-1] + other, NOW)


@pytest.mark.parametrize("junk", ["=", "A", "\n", " ", "!", "\udcff", "é", "\0"])
def test_nothing_can_be_added_anywhere(junk: str) -> None:
    """Decoders that skip foreign characters would let it pass."""
    session_id, _ = sealed()
    for at in range(len(session_id) + 1):
        with pytest.raises(SessionNotFound):
            SessionSealer(KEY).open(session_id[:at] + junk + session_id[at:], NOW)


def test_no_part_can_be_taken_away() -> None:
    """From either end."""
    session_id, _ = sealed()
    for at in range(1, len(session_id)):
        for part in (session_id[at:], session_id[:at]):
            with pytest.raises(SessionNotFound):
                SessionSealer(KEY).open(part, NOW)


@given(st.text(max_size=60))
def test_an_invented_id_is_unknown(text: str) -> None:
    """Whatever a client sends."""
    for session_id in (text, f"1.{text}"):
        with pytest.raises(SessionNotFound) as caught:
            SessionSealer(KEY).open(session_id, NOW)
        assert caught.value.http_status == 404
        assert caught.value.hint == "initialize again"


def test_another_key_opens_nothing() -> None:
    """A new key file ends all sessions."""
    session_id, _ = sealed()
    with pytest.raises(SessionNotFound, match="unknown session"):
        SessionSealer(bytes(32)).open(session_id, NOW)


@pytest.mark.parametrize("opened_before", [False, True])
def test_a_session_lives_to_its_last_second(opened_before: bool) -> None:
    """Whether this worker has seen it before or not."""
    session_id, session = sealed()
    sealer = SessionSealer(KEY)
    if opened_before:
        sealer.open(session_id, NOW)
    assert session.expires == NOW + MAX_AGE_S
    assert sealer.open(session_id, NOW + MAX_AGE_S - 1) == session
    with pytest.raises(SessionNotFound, match="expired"):
        sealer.open(session_id, NOW + MAX_AGE_S)


def test_the_largest_session_fits_into_a_header() -> None:
    """Even when every byte of it has to be escaped."""
    sealer = SessionSealer(KEY)
    worst = b'{"' + b'\\"' * ((MAX_CLIENT_BYTES - 6) // 2) + b'":1}'
    session_id = sealer.seal(sealer.create("2025-11-25", worst, b"", NOW))
    assert len(session_id) < Limits().max_header / 2
    assert SessionSealer(KEY).open(session_id, NOW).capabilities == worst


def test_a_client_that_says_more_is_refused() -> None:
    """Capabilities and name together."""
    sealer = SessionSealer(KEY)
    sealer.create("2025-11-25", b"x" * (MAX_CLIENT_BYTES - 10), b"y" * 10, NOW)
    with pytest.raises(InvalidParams, match="pass 4096 bytes"):
        sealer.create("2025-11-25", b"x" * (MAX_CLIENT_BYTES - 10), b"y" * 11, NOW)


def test_opening_more_sessions_than_are_remembered_forgets_none() -> None:
    """What is remembered is bounded; the id itself is the memory."""
    sealer = SessionSealer(KEY)
    ids = [sealer.seal(sealer.create("2025-11-25", b"{}", b"", NOW)) for _ in range(4200)]
    serials = [sealer.open(session_id, NOW).serial for session_id in ids]
    assert [sealer.open(session_id, NOW).serial for session_id in ids[:50]] == serials[:50]
