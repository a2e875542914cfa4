"""What may go wrong before a channel over the network is open: no message was sent yet."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import aiohttp

from only1mcp.errors import BackendError, BackendProtocolError, BackendUnreachable


@contextlib.asynccontextmanager
async def opening(name: str, timeout_s: float) -> AsyncIterator[None]:
    """Bound the time of an opening, and say in our own words how it failed.

    Raises:
        BackendUnreachable: there is no connection.
        BackendProtocolError: there is one, to something that is not what was declared.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise BackendUnreachable(
            f"server {name} did not open a session within {timeout_s:g} s"
        ) from None
    except aiohttp.ClientResponseError as error:
        raise BackendProtocolError(
            f"server {name} did not answer as a server of its transport does",
            hint="check the server's url and transport in the configuration", detail=str(error),
        ) from error  # fmt: skip
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: no URL, no header
        raise BackendUnreachable(
            f"server {name} cannot be reached", detail=why_unreached(error)
        ) from error


def why_unreached(error: Exception) -> str:
    """Say why there is no connection, and where to look.

    What aiohttp says of it speaks of `ssl:default`, whatever the URL.
    """
    if not isinstance(error, aiohttp.ClientConnectorError):
        return str(error)
    host, cause = error.host, error.os_error
    if isinstance(cause, socket.gaierror):
        return f"the name {host} cannot be resolved: {cause.strerror}; is the url right?"
    place = f"[{host}]:{error.port}" if ":" in host else f"{host}:{error.port}"
    if isinstance(cause, ConnectionRefusedError):
        return f"{place} refuses connections; is the server running, and its url right?"
    return f"{place}: {cause.strerror or cause}"


def refusal(name: str, status: int) -> BackendError:
    """Return the failure that an HTTP status means, which opens no channel."""
    if status in (401, 403):
        return BackendUnreachable(
            f"server {name} refuses our credentials (HTTP {status})",
            hint="check the server's headers or auth in the configuration",
        )
    if status == 429 or status >= 500:
        return BackendUnreachable(f"server {name} is unavailable (HTTP {status})")
    if 300 <= status < 400:
        return BackendProtocolError(
            f"server {name} redirects (HTTP {status})",
            hint="configure the address that it redirects to",
        )
    return BackendProtocolError(
        f"server {name} opens no session here (HTTP {status})",
        hint="check the server's url and transport in the configuration",
    )
