"""A call in which a legacy server asks its client, over a desk."""

import json
from typing import Any

from only1mcp.protocol.versions import Era
from tests.support.catalogues import catalogue
from tests.support.desk import Desk
from tests.support.fake_backend import FakeBackend
from tests.support.loop import eventually
from tests.support.messages import OWN
from tests.support.told import Told

CAPABILITIES: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "roots": {}, "sampling": {}}
ALL = json.dumps(CAPABILITIES).encode()
CALL = {"name": "a__x"}
META = {OWN + "clientCapabilities": CAPABILITIES}
FORM = {"message": "Name?", "requestedSchema": {"type": "object", "properties": {}}}
ACCEPTED = {"action": "accept", "content": {"name": "é"}}


def askable_desk(**more: Any) -> Desk:
    """Return a desk with a legacy server that offers the tool `a__x`."""
    return Desk(catalogue("a", tools="x", eras=frozenset({Era.LEGACY})), **more)


class Asked:
    """A modern client's call, from one request to the next."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._ids = 0
        self.told = self.send({})

    def send(self, more: dict[str, Any], **meta: object) -> Told:
        """Send the request once more, with these members."""
        self._ids += 1
        params = {"name": "a__x", "arguments": {"n": 1}, "_meta": {**META, **meta}, **more}
        return self.desk.modern("tools/call", params, request_id=f"r{self._ids}")

    @property
    def backend(self) -> FakeBackend:
        """The server."""
        return self.desk.hosted["a"]

    def ask(self, method: str = "elicitation/create", **more: Any) -> None:
        """Let the server ask."""
        self.backend.ask(method, FORM if method == "elicitation/create" else None, **more)

    @property
    def responses(self) -> list[Any]:
        """What the server was answered."""
        return self.backend.calls[0].responses

    def is_cancelled(self) -> bool:
        """Say whether the server was told that the call is given up."""
        return self.backend.calls[0].cancelled

    async def wanted(self, told: Told | None = None) -> tuple[dict[str, Any], str]:
        """Wait until the client is asked; return the questions and the state."""
        told = told or self.told
        await eventually(lambda: told.answers, "the questions")
        result = told.message["result"]
        assert result["resultType"] == "input_required"
        return result["inputRequests"], result["requestState"]

    def retry(self, state: str, responses: dict[str, Any], **meta: object) -> Told:
        """Send the request again, with answers."""
        return self.send({"requestState": state, "inputResponses": responses}, **meta)


class Relayed:
    """A legacy client's call, and its session."""

    def __init__(self, desk: Desk, capabilities: bytes = ALL) -> None:
        self.desk = desk
        self.session = desk.session(capabilities)
        self.told = desk.legacy("tools/call", CALL, self.session)
        self.backend = desk.hosted["a"]

    def ask(self, request_id: object = 1) -> None:
        """Let the server ask."""
        self.backend.ask("elicitation/create", FORM, request_id=request_id)

    def reply(self, number: int = 0, session: str | None = None) -> Told:
        """Answer the question of this number."""
        body = answer(self.told.messages[number], {"result": ACCEPTED})
        return self.desk.post(session or self.session, body)


def answer(question: dict[str, Any], member: dict[str, Any]) -> bytes:
    """Write a legacy client's answer to a question."""
    return json.dumps({"jsonrpc": "2.0", "id": question["id"], **member}).encode()
