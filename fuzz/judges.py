"""How other readers of HTTP read the same bytes: what the fast lane recognises is held to them."""

import asyncio
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import (
    HttpRequestParser,
    HttpRequestParserPy,
    HttpResponseParser,
    HttpResponseParserPy,
)

HAS_HTTPTOOLS = importlib.util.find_spec("httptools") is not None
"""A development dependency; without it the other readers judge alone."""
_httptools: Any = importlib.import_module("httptools") if HAS_HTTPTOOLS else None
_loop = asyncio.new_event_loop()
_LIMIT = 1 << 20


class Declined(Exception):
    """This reader does not take the bytes for HTTP."""


@dataclass(slots=True)
class Seen:
    """One message, as a reader sees it."""

    start: tuple[object, ...] = ()
    """Method, target and version, or version and status."""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Names in lower case."""
    keeps: bool = False
    """Whether another message may follow."""
    body: bytes = b""
    is_whole: bool = False

    def value(self, name: bytes) -> bytes | None:
        """Return the only value of a header; None when it is not there."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2
        return values[0] if values else None


class _Callbacks:
    """Notes what httptools says."""

    def __init__(self, kind: type) -> None:
        self.seen: list[Seen] = []
        self._target = b""
        self.parser: Any = kind(self)

    def on_message_begin(self) -> None:
        self.seen.append(Seen())
        self._target = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.seen[-1].headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        if isinstance(self.parser, _httptools.HttpRequestParser):
            self.seen[-1].start = self.parser.get_method(), self._target, version
        else:
            self.seen[-1].start = version, self.parser.get_status_code()
        self.seen[-1].keeps = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.seen[-1].body += body

    def on_message_complete(self) -> None:
        self.seen[-1].is_whole = True


def _by_httptools(kind: type, data: bytes) -> list[Seen]:
    callbacks = _Callbacks(kind)
    try:
        callbacks.parser.feed_data(data)
    except (_httptools.HttpParserError, _httptools.HttpParserUpgrade) as error:
        raise Declined from error
    return callbacks.seen


def _by_aiohttp(kind: type, data: bytes) -> list[Seen]:
    parser = kind(BaseProtocol(_loop), _loop, _LIMIT, max_line_size=_LIMIT, max_field_size=_LIMIT)
    try:
        messages, _, _ = parser.feed_data(data)
    except HttpProcessingError as error:
        raise Declined from error
    return [_seen(message, payload) for message, payload in messages]


def _seen(message: Any, payload: Any) -> Seen:
    version = "{}.{}".format(*message.version)
    if hasattr(message, "code"):
        start: tuple[object, ...] = version, message.code
    else:
        start = message.method.encode(), message.path.encode(), version
    headers = [(name.lower(), value.strip(b" \t")) for name, value in message.raw_headers]
    body = b"".join(getattr(payload, "_buffer", ()))
    if payload.exception() is not None:
        raise Declined from payload.exception()
    return Seen(start, headers, not message.should_close, body, payload.is_eof())


Judge = Callable[[bytes], list[Seen]]
"""Returns what it sees, or raises `Declined`."""
REQUEST_JUDGES: dict[str, Judge] = {
    "aiohttp": partial(_by_aiohttp, HttpRequestParser),
    "aiohttp in Python": partial(_by_aiohttp, HttpRequestParserPy),
}
RESPONSE_JUDGES: dict[str, Judge] = {
    "aiohttp": partial(_by_aiohttp, HttpResponseParser),
    "aiohttp in Python": partial(_by_aiohttp, HttpResponseParserPy),
}
if HAS_HTTPTOOLS:
    REQUEST_JUDGES["httptools"] = partial(_by_httptools, _httptools.HttpRequestParser)
    RESPONSE_JUDGES["httptools"] = partial(_by_httptools, _httptools.HttpResponseParser)
