"""One call of a tool or a prompt, in whichever era it came."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.server import ServerRequestContext
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Plain = dict[str, Any]
Questions = Mapping[str, Any]
"""Requests to the client, by names of our choice."""

_RESULTS = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResult,
    "roots/list": types.ListRootsResult,
}


class InputRequiredError(Exception):
    """The call ends here with questions; the client calls again with its answers."""

    def __init__(self, questions: Questions, state: str | None) -> None:
        super().__init__("the client is asked first")
        self.result = types.InputRequiredResult(input_requests=questions, request_state=state)


class Call:
    """What a tool or a prompt may know and do.

    Args:
        ctx: the SDK's view of the request.
        params: of `tools/call` or `prompts/get`.
    """

    def __init__(self, ctx: ServerRequestContext, params: Any) -> None:
        self.arguments: Plain = dict(params.arguments or {})
        self.is_modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        self.state: str | None = params.request_state
        self._ctx = ctx
        self._answers: Plain = {
            **json.loads(params.request_state or "{}"),
            **{key: _plain(answer) for key, answer in (params.input_responses or {}).items()},
        }

    @property
    def capabilities(self) -> Plain:
        """What the client declared that it can do."""
        declared = self._ctx.session.client_capabilities
        return {} if declared is None else _plain(declared)

    async def log(self, text: str) -> None:
        """Send a log message on this call's stream, if the client wants any."""
        request_id = self._ctx.request_id
        await self._ctx.session.send_log_message("info", text, related_request_id=request_id)

    async def progress(self, done: float, total: float) -> None:
        """Report progress, if the client asked for that."""
        await self._ctx.session.report_progress(done, total)

    async def hang_up(self) -> None:
        """Close this call's stream; the answer waits for the client to come back for it."""
        if self._ctx.close_sse_stream is not None:
            await self._ctx.close_sse_stream()

    async def ask(self, questions: Questions, *, stateful: bool = False) -> Plain:
        """Return the client's answers by the names of the questions.

        A legacy client is asked now. A modern one gets the questions as the result of its call and
        calls again; then the tool runs anew from its beginning and comes by here with the answers.

        Args:
            questions: all that are asked at once.
            stateful: whether the answers so far travel along in `requestState`, which a tool that
                asks more than once needs.
        """
        if not self.is_modern:
            said = await asyncio.gather(*map(self._ask_now, questions.values()))
            return dict(zip(questions, said, strict=True))
        if questions.keys() <= self._answers.keys():
            return {key: self._answers[key] for key in questions}
        raise InputRequiredError(questions, json.dumps(self._answers) if stateful else None)

    async def _ask_now(self, question: Any) -> Plain:
        metadata = ServerMessageMetadata(related_request_id=self._ctx.request_id)
        kind = _RESULTS[question.method]
        return _plain(await self._ctx.session.send_request(question, kind, metadata=metadata))


def form(message: str, required: tuple[str, ...] = (), **properties: Plain) -> Any:
    """Return the question that shows a form to the user."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return types.ElicitRequest(
        params=types.ElicitRequestFormParams(message=message, requested_schema=schema)
    )


def sample(prompt: str, max_tokens: int = 100) -> Any:
    """Return the question that goes to the client's model."""
    said = types.SamplingMessage(role="user", content=types.TextContent(text=prompt))
    params = types.CreateMessageRequestParams(messages=[said], max_tokens=max_tokens)
    return types.CreateMessageRequest(params=params)


def roots() -> Any:
    """Return the question for the client's roots."""
    return types.ListRootsRequest()


def _plain(model: Any) -> Plain:
    plain: Plain = model.model_dump(by_alias=True, mode="json", exclude_none=True)
    return plain
