"""Taking the place where the gateway is found: its sockets and its runtime directory."""

from only1mcp.cli.output import CONFLICT, USAGE, Failure
from only1mcp.config.settings import Settings
from only1mcp.links.runtime_dir import AlreadyRunning, RuntimeDir, for_port
from only1mcp.supervisor.handover import Handover
from only1mcp.supervisor.holdings import Holdings, taken_over
from only1mcp.supervisor.listeners import PortBusy, another_listener, open_listeners


def take_place(
    settings: Settings, handover: Handover | None, *, with_demo: bool, is_private: bool
) -> Holdings:
    """Open the sockets and claim the directory, or take over those of the gateway that runs.

    Raises:
        Failure: somebody else has them, or they are not those that are wanted.
    """
    if handover is not None:
        return _take_over(settings, handover, with_demo=with_demo)
    try:
        listeners = open_listeners(settings.host, settings.port, settings.workers)
        demo = open_listeners("127.0.0.1", 0, 1)[0] if with_demo else None
    except PortBusy as error:
        raise Failure(
            "PORT_BUSY", str(error.strerror), "stop it, or choose another port: --port 0",
            exit_code=CONFLICT,
        ) from None  # fmt: skip
    except OSError as error:
        raise Failure("CANNOT_LISTEN", f"cannot listen on {settings.host}: {error}") from None
    directory, lock = _claim(listeners[0].getsockname()[1])
    directory.clear()
    return Holdings(listeners, demo, directory, lock, is_private=is_private)


def _take_over(settings: Settings, handover: Handover, *, with_demo: bool) -> Holdings:
    holdings = taken_over(handover)
    host, port = handover.host, holdings.port
    wanted = settings.port or port
    if (settings.host, wanted) != (host, port) or with_demo != (holdings.demo is not None):
        what = "the demonstration" if with_demo else f"{settings.host}:{wanted}"
        raise Failure(
            "ANOTHER_PLACE", f"what runs at {host}:{port} cannot become {what} by an upgrade",
            "stop it and start the other one", exit_code=USAGE,
        )  # fmt: skip
    for _ in range(settings.workers - len(holdings.listeners)):
        holdings.listeners.append(another_listener(host, port))
    handover.speak_up()
    return holdings


def _claim(port: int) -> tuple[RuntimeDir, int]:
    directory = for_port(port)
    try:
        return directory, directory.create()
    except AlreadyRunning as error:
        raise Failure(
            "ALREADY_RUNNING", str(error), "stop it: only1mcp stop", exit_code=CONFLICT
        ) from None
    except OSError as error:
        raise Failure(
            "RUNTIME_DIR", str(error), "set ONLY1MCP_RUNTIME_DIR to a directory of yours, in /run"
        ) from None
