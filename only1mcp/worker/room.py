"""How many clients one worker has room for."""

import logging
import resource

from only1mcp.config.settings import Settings

_log = logging.getLogger(__name__)


def room_for(settings: Settings) -> tuple[int, bool]:
    """Return how many clients one worker lets in, and whether open files are what bounds them.

    Never more than half of the files that it may open: servers need connections, too, and beyond
    its last file uvloop closes clients without a word.
    """
    share = -(-settings.limits.max_connections // settings.workers)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY or share <= files // 2:
        return share, False
    _log.warning("room for %d clients, not %d: raise the limit of open files", files // 2, share)
    return files // 2, True
