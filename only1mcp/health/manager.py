"""The multiprocessing manager between the board and those who report to it."""

import logging
import queue
import threading
import time
from multiprocessing.managers import BaseManager, RemoteError
from pathlib import Path
from typing import Any, NoReturn

from only1mcp.health.board import HealthBoard

_log = logging.getLogger(__name__)
_RETRY_S = 0.25
_PING_S = 0.5
_METHODS = ("report", "ping")


class _BoardManager(BaseManager):
    """Knows one name: `board`."""


def serve_board(board: HealthBoard, path: Path, authkey: bytes) -> None:
    """Serve the board on a unix socket, from threads of its own; returns at once."""
    path.unlink(missing_ok=True)

    class Manager(_BoardManager):
        """A manager that holds this board."""

    Manager.register("board", callable=lambda: board, exposed=_METHODS)
    server = Manager(address=str(path), authkey=authkey).get_server()
    threading.Thread(target=server.serve_forever, name="health-board", daemon=True).start()


class HealthReporter:
    """Tells the board what this process sees, from one thread, never from the event loop.

    Only the last word on each server matters, so nothing queues up while the board is gone; once
    it is back it hears everything again, also what was said long ago.

    Args:
        observer: who says it.
        path, authkey: of the board's socket.
        rest_s: how long to be silent after each time, for an observer that has much to say.
    """

    def __init__(self, observer: str, path: Path, authkey: bytes, rest_s: float = 0.0) -> None:
        self._observer = observer
        self._rest_s = rest_s
        self._path = path
        self._authkey = authkey
        self._lock = threading.Lock()
        self._said: dict[str, dict[str, Any]] = {}
        self._untold: set[str] = set()
        """The servers whose ids stand in `_news`, each once."""
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="health-reporter", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def say(self, server_id: str, observation: dict[str, Any]) -> None:
        """Have the board told; returns at once."""
        with self._lock:
            self._said[server_id] = observation
            known = server_id in self._untold
            self._untold.add(server_id)
        if not known:
            self._news.put(server_id)

    def _run(self) -> None:
        while True:
            try:
                self._tell(self._connect())
            except (OSError, EOFError):
                pass
            except RemoteError as error:  # it took the place of the one that we had asked for
                why = str(error).strip(" -\n").rpartition("\n")[2]  # the rest is a stack of its
                _log.info("another health board is there: %s", why)
            threading.Event().wait(_RETRY_S)

    def _tell(self, board: Any) -> NoReturn:
        """Say everything, then what is new; raises when the board has gone."""
        for server_id in list(self._said):
            board.report(self._observer, server_id, self._take(server_id))
        while True:
            news = self._wait()
            for server_id in news:
                board.report(self._observer, server_id, self._take(server_id))
            if news:
                time.sleep(self._rest_s)
            else:
                board.ping()

    def _wait(self) -> list[str]:
        """Return the servers of which there is news; none when there was not for a while."""
        try:
            first = self._news.get(timeout=_PING_S)
        except queue.Empty:
            return []
        return [first, *(self._news.get() for _ in range(self._news.qsize()))]

    def _take(self, server_id: str) -> dict[str, Any]:
        with self._lock:
            self._untold.discard(server_id)
            return self._said[server_id]

    def _connect(self) -> Any:
        class Manager(_BoardManager):
            """A manager that reaches the board."""

        Manager.register("board", exposed=_METHODS)
        manager = Manager(address=str(self._path), authkey=self._authkey)
        manager.connect()
        return manager.board()  # type: ignore[attr-defined]
