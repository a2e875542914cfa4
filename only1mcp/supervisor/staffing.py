"""Who comes and who goes next, until the workers are as they are wanted.

That is told from who is there now, not from a list of steps: whatever was wished for meanwhile, in
whatever order, and whoever died, nothing of it can be forgotten.
"""

from collections.abc import Sequence

from only1mcp.supervisor.child_handle import ChildHandle


def leaving(workers: Sequence[ChildHandle], count: int) -> list[ChildHandle]:
    """Return which workers are to go now: those too many, and those that have a successor.

    Args:
        workers: who is to go on so far, the oldest first.
        count: in how many places somebody is to be.
    """
    held = _by_place(workers)
    ranked = sorted(held, key=lambda place: (_worth(held[place]), -place), reverse=True)
    surplus = [worker for place in ranked[count:] for worker in held[place]]
    return surplus + [worker for place in ranked[:count] for worker in _followed(held[place])]


def vacant(workers: Sequence[ChildHandle], count: int, sockets: int) -> int | None:
    """Return the place for which a worker is to be started now, if there is one.

    Workers come one at a time. Somebody has to know each socket, to stand in where nobody is: when
    one was opened for a worker that was not wanted any more by the time it could start, an old
    worker has to make room for one that knows it.
    """
    if not all(worker.has_served for worker in workers):
        return None
    held = _by_place(workers)
    if len(held) < count:
        return next((place for place in range(sockets) if place not in held), None)
    outdated = [place for place, there in held.items() if there[-1].outdated]
    if outdated or any(_knows(worker, sockets) for worker in workers):
        return min(outdated, default=None)
    return min(held, default=None)


def _by_place(workers: Sequence[ChildHandle]) -> dict[int, list[ChildHandle]]:
    held: dict[int, list[ChildHandle]] = {}
    for worker in workers:
        held.setdefault(worker.place, []).append(worker)
    return held


def _worth(there: Sequence[ChildHandle]) -> tuple[bool, bool, int]:
    """Say how much would be lost with the workers of one place; who knows most sockets stays."""
    newest = there[-1]
    serves = any(worker.is_ready for worker in there)
    return serves, not newest.outdated, len(newest.context.known)


def _followed(there: Sequence[ChildHandle]) -> Sequence[ChildHandle]:
    """Return who has been in a place longer than one that serves there."""
    serving = [at for at, worker in enumerate(there) if worker.is_ready]
    return there[: max(serving, default=0)]


def _knows(worker: ChildHandle, sockets: int) -> bool:
    """Say whether a worker can stand in everywhere; one that is yet to be forked will."""
    return not worker.pid or len(worker.context.known) >= sockets
