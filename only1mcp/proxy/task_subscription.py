"""The tasks of which a modern subscription is told (SEP-2663, Task Status Notifications)."""

import contextlib
from collections.abc import Sequence

from only1mcp.errors import InvalidParams
from only1mcp.protocol.inbound import Inbound
from only1mcp.proxy.task_ids import TaskIds
from only1mcp.proxy.task_routing import must_declare_tasks
from only1mcp.registry.snapshot import Snapshot


def honoured_tasks(
    inbound: Inbound, wanted: Sequence[str] | None, snapshot: Snapshot, ids: TaskIds
) -> dict[tuple[str, str], str]:
    """Return the client's id of each task that we can tell of, by its server and that one's id.

    Of what is unknown we tell nothing. Of a server with several instances the host listens to one,
    which may not be the task's.

    Args:
        inbound: the subscription.
        wanted: the ids that it names; None when it does not speak of tasks.
        snapshot: what there is.
        ids: ours.

    Raises:
        MissingClientCapability: the client did not declare the extension.
    """
    if wanted is None or not snapshot.has_task_extension:
        return {}
    must_declare_tasks(inbound, is_offered=True)
    found: dict[tuple[str, str], str] = {}
    for ours in wanted:
        with contextlib.suppress(InvalidParams):
            ref = ids.open(ours)
            owner = snapshot.catalogues.get(ref.server_id)
            is_theirs = (ref.serial, ref.owner) == (0, inbound.principal)
            if owner is not None and owner.has_task_extension and is_theirs and not ref.place:
                found[ref.server_id, ref.task_id] = ours
    return found
