"""The plan of the shared mapping."""

import pytest

from only1mcp.memory.layout import ENDED_SLOTS, PROCESS_WORDS, WORD, Layout, SharedMemory


@pytest.mark.parametrize("workers", [0, 1, 64])
@pytest.mark.parametrize("servers", [0, 1, 500])
@pytest.mark.parametrize("slots", [0, 7, 10_000])
def test_sections_follow_one_another_without_overlap(
    workers: int, servers: int, slots: int
) -> None:
    """Writing all of one changes none of the others."""
    memory = SharedMemory(Layout(workers, servers, slots))
    layout = memory.layout
    sections = [memory.process_row(i) for i in range(layout.processes)]
    sections.append(memory.section(layout.health, layout.servers))
    sections += [memory.metrics_row(i) for i in range(layout.processes)]
    sections.append(memory.ended)
    for mark, section in enumerate(sections, start=1):
        section[:] = memoryview(bytearray(mark.to_bytes(8, "little") * len(section))).cast("Q")
    for mark, section in enumerate(sections, start=1):
        assert set(section.tolist()) <= {mark}
    assert sum(len(section) for section in sections[:-1]) * WORD == layout.size_bytes
    assert len(memory.ended) == 2 * ENDED_SLOTS
    assert len(sections[0]) == PROCESS_WORDS


def test_a_fresh_mapping_is_all_zero() -> None:
    """So zero must mean that nothing is known."""
    memory = SharedMemory(Layout(1, 1, 10))
    assert not any(memory.section(0, memory.layout.size_bytes // WORD))
