"""Who knows what other processes do with the legacy sessions that a server gives us."""

from typing import Protocol

from xxhash import xxh3_64_hexdigest

from only1mcp.backends.opened import Opened
from only1mcp.registry.server import Server


class Keeping(Protocol):
    """Our standing with one URL, as far as other processes have a part in it."""

    opened: Opened | None

    def adopt(self, opened: Opened) -> None:
        """Go on with a session that another process has opened."""

    def lose(self, opened: Opened) -> None:
        """Use a session no more that another process is about to end."""

    def dismiss(self, opened: Opened) -> None:
        """End a session that is not, or no more, the one to use once nobody uses it."""

    async def lower_level(self, level: int) -> None:
        """Have the server log from this severity on, now and on sessions to come."""

    async def confirm(self, forgotten: str | None) -> None:
        """See to it that a session is open, if need be another one than a forgotten one."""


class Keeper(Protocol):
    """Who knows what other processes do with the sessions that one URL is given."""

    def attach(self, standing: Keeping) -> Opened | None:
        """Learn who uses what is opened; return what is open already."""

    def detach(self, standing: Keeping) -> None:
        """Learn that somebody uses nothing more."""

    def take_ids(self, count: int) -> int:
        """Return the first of so many ids that the server has not seen."""

    async def find(self, standing: Keeping, forgotten: Opened | None) -> Opened | None:
        """Return what another process has opened, or opens now; None when we are to do it.

        What was taken for forgotten is returned again if the server does know it.
        """

    def began(self, standing: Keeping, opened: Opened) -> None:
        """Learn what we have opened."""

    def is_free(self, opened: Opened) -> bool:
        """Say whether nobody else uses a session that we have opened and want to end."""

    async def wants(self, standing: Keeping, level: int) -> None:
        """Have whoever has opened a session ask for more log messages on it.

        Raises:
            BackendError: that is not possible now.
        """


class Alone:
    """Implements `Keeper` where no other process takes part."""

    def __init__(self) -> None:
        self._last_id = 0

    def attach(self, standing: Keeping) -> Opened | None:
        """Know of nothing."""

    def detach(self, standing: Keeping) -> None:
        """Do nothing."""

    def take_ids(self, count: int) -> int:
        """Count from 1 on."""
        first = self._last_id + 1
        self._last_id += count
        return first

    async def find(self, standing: Keeping, forgotten: Opened | None) -> Opened | None:
        """Have it opened here."""

    def began(self, standing: Keeping, opened: Opened) -> None:
        """Tell nobody."""

    def is_free(self, opened: Opened) -> bool:
        """Say yes."""
        del opened
        return True

    async def wants(self, standing: Keeping, level: int) -> None:
        """Do nothing: all sessions are our own."""


def alone(server: Server, url: str) -> Keeper:
    """Return what keeps the sessions of a URL that nobody else uses."""
    del server, url
    return Alone()


def key_of(server: Server, url: str) -> str:
    """Return what all processes know the sessions with one URL by.

    What is said with other headers, perhaps for somebody else, is another session.
    """
    return xxh3_64_hexdigest(repr((server.id, url, server.headers)).encode())
