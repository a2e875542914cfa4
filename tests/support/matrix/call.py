"""One call of a tool, a prompt or a resource, and what it may do before it answers."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tests.support.matrix.exotic import write
from tests.support.matrix.questions import CAPABILITIES, Plain, is_declared, question

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_OWN = "io.modelcontextprotocol/"
INVALID_PARAMS, NOT_FOUND_LEGACY = -32602, -32002
MISSING_CAPABILITY, URL_REQUIRED = -32021, -32042


class Exchange(Protocol):
    """Where the messages about one request go."""

    def send(self, text: str) -> None:
        """Send a message before the answer."""

    def finish(self, text: str) -> None:
        """Send the answer."""

    def hang_up(self) -> None:
        """Break off the stream; the client may come back for the rest."""


class RpcError(Exception):
    """The call is answered with an error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.plain = {"code": code, "message": message, "data": data}


class InputRequiredError(Exception):
    """The modern call ends here, with questions."""

    def __init__(self, questions: dict[str, Plain], state: str | None) -> None:
        super().__init__("the client is asked first")
        self.result: Plain = {"resultType": "input_required"}
        if questions:
            self.result["inputRequests"] = questions
        if state is not None:
            self.result["requestState"] = state


class Asker(Protocol):
    """A legacy session, as far as calls ask the client on it."""

    def wants(self, level: str) -> bool:
        """Say whether the client wants log messages of this level."""

    async def ask(self, plain: Plain, exchange: Exchange) -> Plain:
        """Ask and return the response."""

    async def withdraw(self, plain: Plain, exchange: Exchange) -> None:
        """Ask, and take the question back."""


@dataclass
class Call:
    """What a tool knows."""

    params: Plain
    exchange: Exchange
    capabilities: Plain
    session: Asker | None
    """None in the modern era."""
    note: Callable[..., None]

    @property
    def is_modern(self) -> bool:
        """Whether the client speaks 2026-07-28."""
        return self.session is None

    @property
    def arguments(self) -> Plain:
        """The arguments of a tool or a prompt."""
        arguments: Plain = self.params.get("arguments") or {}
        return arguments

    @property
    def key(self) -> str:
        """What the test calls this call."""
        return str(self.arguments.get("key", ""))

    @property
    def meta(self) -> Plain:
        """The metadata of the request."""
        meta: Plain = self.params.get("_meta") or {}
        return meta

    def notify(self, method: str, params: Plain) -> None:
        """Send a notification on the stream of this call."""
        self.exchange.send(write({"jsonrpc": "2.0", "method": method, "params": params}))

    def log(self, level: str, data: Any) -> None:
        """Log a message, if the client wants such."""
        if self.session is not None:
            wanted = self.session.wants(level)
        else:
            least = self.meta.get(_OWN + "logLevel")
            wanted = least is not None and LEVELS.index(level) >= LEVELS.index(least)
        if wanted:
            self.notify("notifications/message", {"level": level, "logger": "x", "data": data})

    async def ask(self, kinds: list[str], number: int, *, stateful: bool) -> dict[str, Plain]:
        """Return the client's answers, by the names of the questions.

        A modern client gets the questions as the result of its call and calls again; then the tool
        runs anew from its beginning and comes by here with the answers.
        """
        names = {f"{number}.{place}.{kind}": kind for place, kind in enumerate(kinds)}
        text = f"{self.key}.{number}"
        asked = {name: question(kind, text, modern=self.is_modern) for name, kind in names.items()}
        self._check(kinds)
        if self.session is not None:
            session = self.session
            answers = await asyncio.gather(
                *(session.ask(plain, self.exchange) for plain in asked.values())
            )
            return dict(zip(asked, answers, strict=True))
        known = {**self._state(), **(self.params.get("inputResponses") or {})}
        if asked.keys() <= known.keys():
            return {name: {"result": known[name]} for name in asked}
        missing = {name: plain for name, plain in asked.items() if name not in known}
        raise InputRequiredError(missing, seal(known) if stateful else None)

    def _check(self, kinds: list[str]) -> None:
        """Ask no client what it did not declare, unless the test wants to see that."""
        for kind in kinds:
            if self.arguments.get("force") or is_declared(kind, self.capabilities):
                continue
            needed = {"requiredCapabilities": CAPABILITIES[kind]}
            raise RpcError(MISSING_CAPABILITY, f"the client cannot be asked for {kind}", needed)

    def _state(self) -> Plain:
        state = self.params.get("requestState")
        return {} if state is None else unseal(state)


def seal(answers: Plain) -> str:
    """Write answers as a state that nobody can change unnoticed."""
    text = base64.b64encode(json.dumps(answers).encode()).decode()
    return f"{text}.{hashlib.sha256(text.encode()).hexdigest()}/+\u00e9"


def unseal(state: str) -> Plain:
    """Read a state of ours.

    Raises:
        RpcError: it is none.
    """
    text, _, _ = state.partition(".")
    try:
        answers: Plain = json.loads(base64.b64decode(text, validate=True))
    except ValueError:
        raise RpcError(INVALID_PARAMS, "the state is not ours") from None
    if state != seal(answers):
        raise RpcError(INVALID_PARAMS, "the state was changed")
    return answers
