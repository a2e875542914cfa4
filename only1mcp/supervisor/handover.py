"""What a supervisor hands over to the program that is to take its place.

A file without a name, whose descriptor an environment variable tells: numbers of descriptors that
are inherited by the exec, and secrets, which no command line and no file on disk is to hold.
"""

import os
import socket
from collections.abc import Iterator, MutableMapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import orjson

VARIABLE = "ONLY1MCP_HANDOVER"
FORMAT = 1
NONE = -1
_STDERR = 2


class HandoverRefused(Exception):
    """What was handed over is not what this program takes."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Descriptors, and what cannot be read elsewhere."""

    listeners: tuple[int, ...]
    """The sockets on which clients stand already."""
    lock: int
    """That of the runtime directory, which is never free meanwhile."""
    lasting: int
    """The words in shared memory that are about clients."""
    ended_lock: int
    bond: int
    """A socket to the supervisor that hands over."""
    stderr: int
    """Where messages go; until we are this far they are kept for the one who started us."""
    generation: int
    """Of the folder of sockets that is ours."""
    host: str
    """The address, as it was configured."""
    session_key: str = field(repr=False)
    """In hexadecimal; where it could not be written it is nowhere else."""
    client_slots: tuple[str, ...] = ()
    """Whose the buckets of rates are."""
    up: tuple[str, ...] = ()
    """The servers that could be called, and shall be when the clients come to us."""
    demo: int = NONE
    """The socket of the demonstration server."""
    anchor: int = NONE
    """A socket to the process that others know the gateway by, if that is another one."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that have to be inherited."""
        single = (self.lock, self.lasting, self.ended_lock, self.bond, self.stderr, self.demo,
                  self.anchor)  # fmt: skip
        return tuple(one for one in (*self.listeners, *single) if one != NONE)

    def write(self) -> int:
        """Return the descriptor of a file that says all this."""
        file = os.memfd_create("only1mcp-handover", os.MFD_CLOEXEC)
        os.write(file, orjson.dumps({"format": FORMAT, **asdict(self)}))
        return file

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> Self | None:
        """Take over what there is, out of sight of all others; None when there is nothing.

        Raises:
            HandoverRefused: the other program has another idea of it.
        """
        number = environment.pop(VARIABLE, "")
        if not number.isdigit():
            return None
        with os.fdopen(int(number), "rb") as file:
            file.seek(0)
            said: dict[str, Any] = orjson.loads(file.read())
        if said.pop("format", None) != FORMAT:
            raise HandoverRefused("the program that runs hands over in another format; restart it")
        known = {one.name for one in fields(cls)}
        taken = cls(**{name: _frozen(value) for name, value in said.items() if name in known})
        for descriptor in taken.descriptors:
            os.set_inheritable(descriptor, False)
        return taken

    def speak_up(self) -> None:
        """Say on standard error, from now on, what there is to say."""
        os.dup2(self.stderr, _STDERR)
        os.close(self.stderr)

    def sockets(self) -> Iterator[socket.socket]:
        """Return the listening sockets as such."""
        for descriptor in self.listeners:
            yield socket.socket(fileno=descriptor)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
