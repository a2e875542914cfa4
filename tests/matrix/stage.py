"""The gateway with all backs behind it, and the clients in front."""

import asyncio
import contextlib
import itertools
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.matrix.carriers import Carrier, SseCarrier, StdioCarrier, WebSocketCarrier
from tests.matrix.client import Client
from tests.matrix.http_carrier import HttpCarrier
from tests.matrix.records import Records
from tests.matrix.sides import BACKS, Back, Front, Pair, Plain
from tests.support.gateway import Gateway

ROOT = Path(__file__).parents[2]
WORKERS = 2
_PAGE_SIZE = 100
"""Less than the backs offer together, so that lists have pages."""
_START_S = 30


class Stage:
    """Stands for the time of a `with` block."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mx-")
        self._path = Path(self._folder.name)
        self._sites: dict[str, subprocess.Popen[str]] = {}
        self.records: dict[str, Records] = {}
        self._gateway: Gateway | None = None
        self._clients: dict[tuple[str, bool], asyncio.Task[Client]] = {}
        self._numbers = itertools.count(1)
        self._alone = {back.id: asyncio.Lock() for back in BACKS}

    def __enter__(self) -> Self:
        try:
            for back in BACKS:
                record = self._path / f"{back.id}.jsonl"
                record.touch()
                self.records[back.id] = Records(record)
                if back.transport != "stdio":
                    self._sites[back.id] = self._start(back)
            self._gateway = Gateway(self._config(), workers=WORKERS)
            self._gateway.__enter__()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._gateway is not None:
            self._gateway.__exit__(kind, error, trace)
        for site in self._sites.values():
            site.kill()
            site.communicate()
        for records in self.records.values():
            records.close()
        self._folder.cleanup()

    @property
    def gateway(self) -> Gateway:
        """The gateway."""
        assert self._gateway is not None
        return self._gateway

    def _arguments(self, back: Back) -> list[str]:
        return [
            "-m", "tests.support.matrix_server", "--name", back.id, "--transport", back.transport,
            "--era", back.era, "--ask-on", back.ask_on, "--record",
            str(self._path / f"{back.id}.jsonl"),
        ]  # fmt: skip

    def _start(self, back: Back) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *self._arguments(back)], cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def _config(self) -> Plain:
        servers = []
        for back in BACKS:
            entry: Plain = {"id": back.id, "transport": back.transport}
            site = self._sites.get(back.id)
            if site is None:
                entry |= {"command": sys.executable, "args": self._arguments(back),
                          "cwd": str(ROOT)}  # fmt: skip
            else:
                assert site.stdout is not None
                entry["url"] = site.stdout.readline().strip()
            servers.append(entry)
        return {
            "proxy": {"page_size": _PAGE_SIZE, "handshake_timeout": f"{_START_S}s",
                      "listen": {"websocket": True, "sse": True}},
            "stdio": {"allowed_commands": [sys.executable]}, "servers": servers,
        }  # fmt: skip

    def nonce(self) -> str:
        """Return a word that nobody has used."""
        return f"n{next(self._numbers)}x"

    def of(self, pair: Pair) -> Records:
        """Return what the server of a pair was sent."""
        return self.records[pair.back.id]

    def alone(self, back: Back) -> asyncio.Lock:
        """Return what has to be held where no other call may be under way on a server."""
        return self._alone[back.id]

    async def client(self, front: Front, *, bare: bool = False) -> Client:
        """Return the client of a front that all tests share.

        Args:
            front: what kind it is.
            bare: whether it is the one that cannot be asked anything.
        """
        key = (front.id, bare)
        if key not in self._clients:
            opening = self._open(front, {} if bare else front.capabilities)
            self._clients[key] = asyncio.get_running_loop().create_task(opening)
        return await self._clients[key]

    @contextlib.asynccontextmanager
    async def newcomer(self, front: Front, *, bare: bool = False) -> AsyncIterator[Client]:
        """Open a client for the time of a block."""
        client = await self._open(front, {} if bare else front.capabilities)
        try:
            yield client
        finally:
            await client.close()

    async def _open(self, front: Front, capabilities: Plain) -> Client:
        client = Client(front, self._carrier(front), capabilities, f"{front.id}-{self.nonce()}")
        try:
            async with asyncio.timeout(_START_S):
                await client.open()
        except BaseException:  # a program that is left running would outlive the test
            await client.carrier.vanish()
            raise
        return client

    def _carrier(self, front: Front) -> Carrier:
        url = self.gateway.url
        if front.transport == "stdio":
            return StdioCarrier(url, self.gateway.env)
        if front.transport == "websocket":
            return WebSocketCarrier(url)
        if front.transport == "sse":
            return SseCarrier(url)
        return HttpCarrier(url, front.revision)

    async def close(self) -> None:
        """Let all clients leave; one that cannot is named."""
        openings = self._clients.values()
        opened = [one for one in openings if one.done() and not one.cancelled()]
        clients = [one.result() for one in opened if one.exception() is None]
        loop = asyncio.get_running_loop()
        leaving = [loop.create_task(one.close(), name=one.tag) for one in clients]
        _, stuck = await asyncio.wait(leaving, timeout=_START_S) if leaving else ((), ())
        assert not stuck, f"cannot leave: {sorted(task.get_name() for task in stuck)}"
        for task in leaving:
            task.result()
