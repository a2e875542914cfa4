"""The endpoint that is measured: its address, its session, and single requests to it."""

import asyncio

from only1mcp.benchmark.connection import Connection, Owner
from only1mcp.benchmark.message import FIRST, opened, opening, read_message
from only1mcp.benchmark.plan import CannotMeasure, Plan, find_target
from only1mcp.benchmark.response import Response

_REFUSALS = {
    401: "put a key that it knows into ONLY1MCP_KEY, or into a file that --key-file names",
    403: "who has this key, or calls it by this name, may not; ask for another key or address",
}


class Endpoint:
    """Connects to one endpoint.

    Raises:
        CannotMeasure: it is none of this machine.
    """

    def __init__(self, plan: Plan) -> None:
        self.target = find_target(plan.url, plan.key)
        self._url = plan.url
        self._timeout_s = plan.timeout_s
        self._address = self.target.addresses[0]

    async def find(self) -> None:
        """Choose the address that somebody listens on.

        Raises:
            CannotMeasure: there is none.
        """
        reason = ""
        for address in self.target.addresses:
            self._address = address
            try:
                connection = await self.connect(_Once())
            except OSError as error:
                reason = str(error) or type(error).__name__
                continue
            connection.abort()
            return
        raise CannotMeasure(
            "UNREACHABLE",
            f"{self._url} cannot be reached: {reason}",
            "is the gateway running? only1mcp status",
        )

    async def connect(self, owner: Owner) -> Connection:
        """Open a connection.

        Raises:
            OSError: it cannot be opened, or not in time.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout_s):
            _, connection = await loop.create_connection(
                lambda: Connection(owner), self._address, self.target.port
            )
        return connection

    async def ask(self, data: bytes) -> Response:
        """Send one request on a connection of its own.

        Raises:
            CannotMeasure: it is not answered, or the caller is refused.
        """
        once = _Once()
        try:
            connection = await self.connect(once)
            connection.send(data, 1, 0, 0)
            async with asyncio.timeout(self._timeout_s):
                response = await once.answer
        except OSError as error:
            said = str(error) or f"no answer in {self._timeout_s:g} s"
            raise CannotMeasure("UNREACHABLE", f"{self._url} did not answer: {said}") from None
        connection.abort()
        if response.status in _REFUSALS:
            said = response.body[:300].decode(errors="replace").strip()
            message = f"{self._url} answered HTTP {response.status}: {said}"
            raise CannotMeasure("REFUSED", message, _REFUSALS[response.status])
        return response

    async def open_session(self) -> bytes | None:
        """Open a legacy session; returns its id, if the server has such.

        Raises:
            CannotMeasure: the server refuses.
        """
        response = await self.ask(opening(self.target))
        message = read_message(response, FIRST - 1)
        if response.status != 200 or message is None or "result" not in message:
            said = response.body[:300].decode(errors="replace")
            raise CannotMeasure(
                "UNREACHABLE", f"initialize was answered HTTP {response.status}: {said}"
            )
        await self.ask(opened(self.target, response.session))
        return response.session


class _Once:
    """Waits for one answer."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def answered(self, connection: Connection, response: Response) -> None:
        """Hand the answer over."""
        connection.number = 0
        self.answer.set_result(response)

    def failed(self, connection: Connection, kind: str, detail: str) -> None:
        """Say why there is none."""
        connection.number = 0
        if not self.answer.done():
            self.answer.set_exception(ConnectionError(f"{kind}: {detail}"))

    def lost(self, connection: Connection) -> None:
        """Nothing is left to do."""
