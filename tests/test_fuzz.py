"""The fuzz targets, with bytes that hypothesis makes up: `make fuzz` has coverage lead them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.judges import HAS_HTTPTOOLS, REQUEST_JUDGES, RESPONSE_JUDGES
from fuzz.seeds import SEEDS
from fuzz.targets import TARGETS

EXAMPLES = 150
_TOKENS = st.sampled_from(
    [b"", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"data:", b"{", b"]", b'"', b"\\ud83d", b"0\r\n",
     b"Host: h\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"\xff", b"\0"]
)  # fmt: skip


@st.composite
def _damaged(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Write a seed with a few places overwritten."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(_TOKENS | st.binary(max_size=4))
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_must_hold_for_any_bytes_holds(name: str) -> None:
    """For bytes that mean nothing, and for those that nearly mean something."""

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(st.binary(max_size=80) | _damaged(SEEDS[name]))
    def check(data: bytes) -> None:
        TARGETS[name](data)

    check()


def test_all_judges_of_http_are_there() -> None:
    """Where one is not installed, the others would agree without it."""
    assert len(REQUEST_JUDGES) == len(RESPONSE_JUDGES) == 3
    assert HAS_HTTPTOOLS


def test_make_feeds_every_target() -> None:
    """The Makefile names them, since each takes a process of its own."""
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    (line,) = (line for line in makefile.splitlines() if line.startswith("FUZZ_TARGETS"))
    assert line.partition(":= ")[2].split() == list(TARGETS)
