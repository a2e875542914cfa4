"""How many files a process of the tests may open."""

import resource

_MANY = 65_536


def allow_many() -> None:
    """Allow as many as there may be: a shell's 1,024 are few for a thousand connections.

    Programs that are started from then on may open as many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY if hard == resource.RLIM_INFINITY else min(hard, _MANY)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
