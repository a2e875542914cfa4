"""The ways into a worker over aiohttp, as settings want them."""

from only1mcp.auth.access import Access
from only1mcp.config.settings import Settings
from only1mcp.ingress import sse_door, websocket_door
from only1mcp.ingress.channels import Channels
from only1mcp.ingress.held import Held
from only1mcp.ingress.http_door import Handler, HttpDoor
from only1mcp.ingress.http_parser import HttpServer
from only1mcp.ingress.origin import OriginCheck
from only1mcp.ingress.sse_door import SseDoor
from only1mcp.ingress.websocket_door import WebSocketDoor
from only1mcp.worker.service import WorkerService


def make_door(
    settings: Settings, service: WorkerService, channels: Channels, sse: SseDoor,
    origins: OriginCheck, access: Access, held: Held,
) -> HttpDoor:  # fmt: skip
    """Open the ways in that are wanted."""
    others: dict[str, dict[str, Handler]] = {}
    if settings.websocket:
        websocket = WebSocketDoor(service, channels, settings.limits.max_body, held)
        others[websocket_door.PATH] = {"GET": websocket.open}
    if settings.sse:
        others[sse_door.STREAM_PATH] = {"GET": sse.open}
        others[sse_door.POST_PATH] = {"POST": sse.post}
    return HttpDoor(service, origins, access, others, held)


def make_http(door: HttpDoor, settings: Settings) -> HttpServer:
    """Make aiohttp's server for the door."""
    limits = settings.limits
    return HttpServer(
        door.handle, handler_cancellation=True, access_log=None,
        keepalive_timeout=limits.idle_timeout_s, auto_decompress=False,
        max_line_size=limits.max_header, max_field_size=limits.max_header,
    )  # fmt: skip
