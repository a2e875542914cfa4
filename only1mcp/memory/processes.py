"""The process table: pid, state and heartbeat of every process of this gateway."""

import enum
from dataclasses import dataclass

from only1mcp.memory.layout import ROLES, SharedMemory

_PID, _STATE, _BEAT, _STARTS, _SERVES, _STANDS_IN = range(6)


class State(enum.IntEnum):
    """What a process is doing."""

    ABSENT = 0
    STARTING = 1
    READY = 2
    DRAINING = 3


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One row as a person reads it."""

    role: str
    index: int
    pid: int
    state: State
    starts: int
    """How often it was started, the first time included."""
    beat_ns: int
    """Monotonic nanoseconds of its last heartbeat."""
    serves: int = 0
    """The number of the settings that it works by."""


class _Word:
    """One word of a row, which may be read and set as it is."""

    def __init__(self, at: int) -> None:
        self._at = at

    def __get__(self, row: "ProcessRow", owner: type) -> int:
        return row._words[self._at]

    def __set__(self, row: "ProcessRow", value: int) -> None:
        row._words[self._at] = value


class ProcessRow:
    """One process's own row.

    The supervisor writes only while the process is not there, but for `stands_in`, which is its
    alone.
    """

    pid = _Word(_PID)
    """The process; 0 while there is none."""
    starts = _Word(_STARTS)
    """How often it was started; a new worker that takes over a row begins at 0."""
    serves = _Word(_SERVES)
    """The number of the settings that the process works by."""
    stands_in = _Word(_STANDS_IN)
    """On which listening sockets a worker is to accept besides its own, one bit for each."""

    def __init__(self, words: "memoryview[int]") -> None:
        self._words = words

    def begin(self, pid: int, now_ns: int) -> None:
        """Register a process; 0 stands for a pid that is yet to be known."""
        self._words[_PID] = pid
        self._words[_STATE] = State.STARTING
        self._words[_BEAT] = now_ns
        self._words[_STARTS] += 1
        self._words[_SERVES] = 0
        self._words[_STANDS_IN] = 0

    def clear(self) -> None:
        """Note that the process is gone."""
        self._words[_PID] = 0
        self._words[_STATE] = State.ABSENT

    def beat(self, now_ns: int) -> None:
        """Say that the process is alive."""
        self._words[_BEAT] = now_ns

    @property
    def state(self) -> State:
        """What the process says of itself."""
        return State(self._words[_STATE])

    @state.setter
    def state(self, state: State) -> None:
        self._words[_STATE] = state

    @property
    def beat_ns(self) -> int:
        """Monotonic nanoseconds of the last heartbeat."""
        return self._words[_BEAT]


def row_index(role: str, worker: int = 0) -> int:
    """Return the row of a role; workers follow the fixed roles."""
    return len(ROLES) + worker if role == "worker" else ROLES.index(role)


def read_processes(memory: SharedMemory) -> list[ProcessStatus]:
    """Return the rows of all processes that live."""
    found = []
    for index in range(memory.layout.processes):
        words = memory.process_row(index)
        role, number = (ROLES[index], 0) if index < len(ROLES) else ("worker", index - len(ROLES))
        if words[_PID]:
            found.append(
                ProcessStatus(
                    role,
                    number,
                    words[_PID],
                    State(words[_STATE]),
                    words[_STARTS],
                    words[_BEAT],
                    words[_SERVES],
                )
            )
    return found


def workers_follow(memory: SharedMemory, number: int) -> bool:
    """Say whether every worker that serves works by these settings or newer ones."""
    return all(
        row.serves >= number for row in read_processes(memory)
        if row.role == "worker" and row.state is not State.DRAINING
    )  # fmt: skip


def worker_indices(memory: SharedMemory) -> list[int]:
    """Return the numbers of the workers that live, those that drain included."""
    return [row.index for row in read_processes(memory) if row.role == "worker"]
