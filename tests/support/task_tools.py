"""The tools of `task_server.py`, and the tasks as which they run."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Plain = dict[str, Any]
Changed = Callable[["Task"], Awaitable[None]]
NEEDED: Plain = {"requiredCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}


class Refused(Exception):
    """A request is answered with an error."""

    def __init__(self, raw: Plain) -> None:
        super().__init__(raw["message"])
        self.error = raw


def error(code: int, message: str, data: Plain | None = None) -> Refused:
    """Return the refusal with this JSON-RPC error."""
    return Refused({"code": code, "message": message, **({"data": data} if data else {})})


class Task:
    """One task."""

    def __init__(self, changed: Changed) -> None:
        self.id = secrets.token_hex(8)
        self.answers: Plain = {}
        self.work: asyncio.Task[None] | None = None
        self._changed = changed
        self._created = self._updated = _now()
        self._status = "working"
        self._more: Plain = {}
        self._resumed = asyncio.Event()

    def seed(self) -> Plain:
        """Return what is told of every task."""
        return {"taskId": self.id, "status": self._status, "createdAt": self._created,
                "lastUpdatedAt": self._updated, "ttlMs": 60_000,
                "pollIntervalMs": 50}  # fmt: skip

    def detailed(self) -> Plain:
        """Return what is told of the task now."""
        return {**self.seed(), **self._more}

    @property
    def _has_ended(self) -> bool:
        return self._status in ("completed", "failed", "cancelled")

    async def become(self, status: str, **more: Any) -> None:
        """Change the status and tell who listens; ended tasks stay as they are."""
        if not self._has_ended:
            self._status, self._more, self._updated = status, more, _now()
            await self._changed(self)

    async def ask(self, **questions: Plain) -> Plain:
        """Wait for the client's answers to all questions."""
        while missing := {key: ask for key, ask in questions.items() if key not in self.answers}:
            self._resumed.clear()
            await self.become("input_required", inputRequests=missing)
            await self._resumed.wait()
        await self.become("working")
        return self.answers

    async def update(self, responses: Plain) -> None:
        """Take answers."""
        asked = self._more.get("inputRequests", {})
        taken = {key: answer for key, answer in responses.items() if key in asked}
        self.answers.update(taken)
        if taken and self._status == "input_required":
            left = {key: ask for key, ask in asked.items() if key not in taken}
            self._more = {"inputRequests": left}
            self._resumed.set()

    async def cancel(self) -> None:
        """Stop, if there is anything to stop."""
        if self.work is not None:
            self.work.cancel()
        await self.become("cancelled")


def _now() -> str:
    return datetime.now(UTC).isoformat()


Run = Callable[[Task, Plain], Awaitable[str]]


@dataclass(frozen=True)
class Tool:
    """What is offered, and what it does."""

    name: str
    run: Run
    kind: str
    """`plain` never becomes a task, `able` may, `needy` cannot do without, `rogue` always does."""

    @property
    def declaration(self) -> Plain:
        """The tool as it is listed."""
        return {"name": self.name, "description": f"Be {self.name}.",
                "inputSchema": {"type": "object"}}  # fmt: skip


class ToolFailed(Exception):
    """The tool reports a failure of its own in its result."""


class Tasks:
    """Runs tools, as tasks where it may."""

    def __init__(self, name: str, changed: Changed) -> None:
        self._name = name
        self._changed = changed
        self._tasks: dict[str, Task] = {}

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all tasks."""
        return frozenset(self._tasks)

    def find(self, task_id: object) -> Task:
        """Return a task.

        Raises:
            Refused: there is none with this id.
        """
        task = self._tasks.get(str(task_id))
        if task is None:
            raise error(-32602, f"{self._name} knows no such task")
        return task

    async def call(self, params: Mapping[str, Any], declared: bool) -> Plain:
        """Answer `tools/call`."""
        tool = TOOLS.get(params["name"])
        arguments: Plain = params.get("arguments", {})
        if tool is None:
            raise error(-32602, "no such tool")
        if tool.kind == "needy" and not declared:
            raise error(-32021, "this tool runs as a task", NEEDED)
        if tool.name == "test_tool_with_task":
            if "inputResponses" not in params:
                return {"resultType": "input_required", "inputRequests": {"user_name": _question()},
                        "requestState": "round 1"}  # fmt: skip
            arguments = params["inputResponses"]["user_name"]["content"]
        if tool.kind == "plain" or (tool.kind == "able" and not declared):
            return await self._finish(tool, Task(_nobody), arguments)
        task = Task(self._changed)
        self._tasks[task.id] = task
        task.work = asyncio.get_running_loop().create_task(self._work(tool, task, arguments))
        return {"resultType": "task", **task.seed()}

    async def _work(self, tool: Tool, task: Task, arguments: Plain) -> None:
        try:
            result = await self._finish(tool, task, arguments)
        except Refused as refused:
            await task.become("failed", error=refused.error)
        else:
            await task.become("completed", result=result)

    async def _finish(self, tool: Tool, task: Task, arguments: Plain) -> Plain:
        try:
            text, failed = await tool.run(task, arguments), False
        except ToolFailed as failure:
            text, failed = str(failure), True
        said = text if tool.name == "greet" else f"{self._name}: {text}"
        return {"content": [{"type": "text", "text": said}], "isError": failed}


async def _nobody(task: Task) -> None:
    """Tell nobody: this is no task that anyone knows."""


def _question(text: str = "What is your name?") -> Plain:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    params = {"mode": "form", "message": text, "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


async def _greet(task: Task, arguments: Plain) -> str:
    return f"Hello, {arguments['name']}!"


async def _slow_compute(task: Task, arguments: Plain) -> str:
    await asyncio.sleep(arguments["seconds"])
    return f"computed {arguments.get('label')}"


async def _failing_job(task: Task, arguments: Plain) -> str:
    raise ToolFailed("this job always fails")


async def _protocol_error_job(task: Task, arguments: Plain) -> str:
    raise error(-32603, "this job breaks the protocol")


async def _confirm_delete(task: Task, arguments: Plain) -> str:
    answers = await task.ask(confirm=_question("Really?"))
    return f"{answers['confirm']['action']} {arguments.get('filename')}"


async def _multi_input(task: Task, arguments: Plain) -> str:
    answers = await task.ask(first=_question("First?"), second=_question("Second?"))
    return f"answered {sorted(answers)}"


async def _with_task(task: Task, arguments: Plain) -> str:
    return f"a task for {arguments['name']}"


TOOLS = {
    name: Tool(name, run, kind)
    for name, run, kind in (
        ("greet", _greet, "plain"),
        ("slow_compute", _slow_compute, "able"),
        ("failing_job", _failing_job, "needy"),
        ("protocol_error_job", _protocol_error_job, "needy"),
        ("confirm_delete", _confirm_delete, "needy"),
        ("multi_input", _multi_input, "needy"),
        ("test_tool_with_task", _with_task, "needy"),
        ("insist", _greet, "rogue"),
    )
}
