"""Frames, however their bytes arrive; anything else ends the link."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.links.frames import (
    HEAD_BYTES,
    MAX_PAYLOAD_BYTES,
    FrameError,
    FrameReader,
    Kind,
    encode,
)

FRAMES = st.lists(
    st.tuples(st.sampled_from(list(Kind)), st.integers(0, 2**64 - 1), st.binary(max_size=50)),
    max_size=6,
)


@given(FRAMES, st.lists(st.integers(0, 400), max_size=6))
def test_frames_come_out_as_they_went_in(
    frames: list[tuple[Kind, int, bytes]], cuts: list[int]
) -> None:
    """Whole, byte by byte or cut anywhere."""
    data = b"".join(encode(*frame) for frame in frames)
    assert FrameReader().feed(data) == frames
    one_by_one = FrameReader()
    assert [f for i in range(len(data)) for f in one_by_one.feed(data[i : i + 1])] == frames
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    cut_anywhere = FrameReader()
    assert [f for a, b in pairwise(places) for f in cut_anywhere.feed(data[a:b])] == frames


def test_an_empty_payload_is_a_frame() -> None:
    """A cancellation says all in its head."""
    assert encode(Kind.CANCEL, 7, b"") == b"\0\0\0\0\x02\x07\0\0\0\0\0\0\0"
    assert len(encode(Kind.CANCEL, 7, b"")) == HEAD_BYTES


def test_a_frame_larger_than_any_of_ours_is_refused_by_its_head() -> None:
    """Nobody waits for, or makes room for, its payload."""
    head = (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "little") + b"\x01" + bytes(8)
    with pytest.raises(FrameError, match="a frame of 67108865 bytes"):
        FrameReader().feed(head)


def test_what_no_frame_can_carry_is_not_written() -> None:
    """Its reader would close the link, with all the calls on it."""
    largest = bytes(MAX_PAYLOAD_BYTES)
    assert len(encode(Kind.EVENT, 1, largest)) == HEAD_BYTES + MAX_PAYLOAD_BYTES
    with pytest.raises(FrameError, match="a payload of 67108865 bytes"):
        encode(Kind.EVENT, 1, largest + b"x")


@pytest.mark.parametrize("kind", [0, max(Kind) + 1, 255])
def test_a_frame_of_a_kind_that_is_not_ours_is_refused(kind: int) -> None:
    """Both ends are of one release, so it is no frame."""
    with pytest.raises(FrameError, match=f"a frame of kind {kind}"):
        FrameReader().feed(b"\0\0\0\0" + bytes([kind]) + bytes(8))


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 20, b'{"jsonrpc":"2.0"}'])
def test_garbage_is_refused(garbage: bytes) -> None:
    """Somebody speaks another protocol."""
    with pytest.raises(FrameError):
        FrameReader().feed(garbage)


@given(st.binary(max_size=100))
def test_any_bytes_are_frames_an_error_or_not_finished(data: bytes) -> None:
    """Nothing else can happen."""
    reader = FrameReader()
    try:
        for kind, _, payload in reader.feed(data):
            assert kind in Kind
            assert len(payload) <= len(data)
    except FrameError:
        pass
