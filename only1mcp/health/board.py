"""The board itself: it lives in the control process, behind a multiprocessing manager.

It keeps the last word of every observer, and publishes its verdict in shared memory, where the hot
path reads it. When it is gone the last verdict stands; when it comes back, everybody repeats
themselves.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from only1mcp.memory.health_words import Health, HealthWords

_VERDICT = {"up": Health.UP, "down": Health.DOWN, "parked": Health.PARKED, "stopped": Health.DOWN}
HOST = "host"


class HealthBoard:
    """Observations by (observer, server); thread-safe, for the manager serves many threads."""

    def __init__(self, server_ids: Sequence[str], words: HealthWords) -> None:
        self._index = {server_id: index for index, server_id in enumerate(server_ids)}
        self._words = words
        self._lock = threading.Lock()
        self._said: dict[str, dict[str, dict[str, Any]]] = {}

    def follow(self, slot_of: Mapping[str, int]) -> None:
        """Judge these servers from now on, each in its slot; forget those that have gone."""
        with self._lock:
            for server_id in self._index.keys() - slot_of.keys():
                self._words.write(self._index[server_id], Health.UNKNOWN)
                self._said.pop(server_id, None)
            self._index = dict(slot_of)
            self._words.slots = list(slot_of.values())

    def report(self, observer: str, server_id: str, observation: dict[str, Any]) -> None:
        """Take one observer's word on one server, in place of its last one."""
        with self._lock:
            index = self._index.get(server_id)
            if index is None:
                return
            self._said.setdefault(server_id, {})[observer] = observation
            if observer == HOST:
                verdict = _VERDICT.get(str(observation.get("state")), Health.UNKNOWN)
                self._words.write(index, verdict)

    def ping(self) -> None:
        """Do nothing: an observer with no news learns from the call that the board is there."""

    def servers(self) -> list[dict[str, Any]]:
        """Return what is known of each server, in configuration order."""
        with self._lock:
            return [self._summary(server_id) for server_id in self._index]

    def _summary(self, server_id: str) -> dict[str, Any]:
        said = dict(self._said.get(server_id, {}))
        status = dict(said.pop(HOST, {"id": server_id, "state": "starting", "detail": ""}))
        failures = [word for word in said.values() if word.get("failures")]
        status["failed_calls"] = sum(int(word["failures"]) for word in failures)
        turns: dict[str, dict[str, Any]] = {}
        for word in said.values():
            for instance, turn in word.get("breakers", {}).items():
                if instance not in turns or turn["at"] > turns[instance]["at"]:
                    turns[instance] = turn
        if turns:
            status["breakers"] = turns
        if failures:
            status["last_failure"] = max(failures, key=lambda word: float(word["at"]))["last"]
        return status
