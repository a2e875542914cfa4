"""The tool `job`, which may run as a task, and its tasks in either design.

A task ends when it was asked for as often as the test wants: nobody has to wait for time to pass.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from tests.support.matrix.call import INVALID_PARAMS, MISSING_CAPABILITY, Asker, Call, RpcError
from tests.support.matrix.exotic import EXOTIC_KEY
from tests.support.matrix.questions import Plain, question
from tests.support.matrix.tools import said

JOB = "job"
EXTENSION, RELATED = "io.modelcontextprotocol/tasks", "io.modelcontextprotocol/related-task"
CORE: Plain = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
"""What a server of 2025-11-25 says that it can do with tasks."""
_NEEDED: Plain = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
_PAGE = 2
_DATE = "2026-01-01T00:00:00Z"


class Job:
    """One task.

    Args:
        call: what it came of; its arguments say what the task does:
            `polls`: as often it is asked for until it is done, never with a negative number;
            `asks`: it asks its client something first, and is done with the answer;
            `fails`: it ends with an error.
        changed: is told when its status changes.
    """

    def __init__(self, call: Call, changed: Callable[["Job"], None]) -> None:
        self.id = f"theirs-{secrets.token_hex(8)}"
        self.owner = call.session
        """The session that it belongs to; None in the modern era."""
        self.status = "working"
        self.answer: Any = None
        self.asks = bool(call.arguments.get("asks"))
        self._call = call
        self._changed = changed
        self.token: object = call.meta.get("progressToken")
        self._left = int(call.arguments.get("polls", 1))
        self.over = asyncio.Event()

    def __str__(self) -> str:
        return f"{self._call.key}.task"

    @property
    def _common(self) -> Plain:
        return {"taskId": self.id, "status": self.status, "createdAt": _DATE,
                "lastUpdatedAt": _DATE, EXOTIC_KEY: "@exotic@"}  # fmt: skip

    @property
    def core(self) -> Plain:
        """What 2025-11-25 tells of it."""
        return {**self._common, "ttl": 60_000, "pollInterval": 50}

    @property
    def extension(self) -> Plain:
        """What 2026-07-28 tells of it, with its result or its questions."""
        told = {**self._common, "ttlMs": None, "pollIntervalMs": 50}
        if self.status == "completed":
            told["result"] = {"resultType": "complete", **self.result}
        if self.status == "failed":
            told["error"] = self.error
        if self.status == "input_required":
            told["inputRequests"] = {"name": question("form", str(self), modern=True)}
        return told

    @property
    def result(self) -> Plain:
        """What the tool says in the end."""
        return said({"key": self._call.key, "answer": self.answer})

    @property
    def error(self) -> Plain:
        """Why it failed."""
        return {"code": -31999, "message": str(self), "data": "@exotic@"}

    @property
    def progress(self) -> Plain:
        """How far it is."""
        told = {"progressToken": self.token, "progress": 1, "message": str(self)}
        return {**told, EXOTIC_KEY: "@exotic@"}

    def become(self, status: str) -> None:
        """Change the status, unless the task is over."""
        if self.status != status and not self.over.is_set():
            self.status = status
            if status in ("completed", "cancelled", "failed"):
                self._call.note(status, key=self._call.key)
                self.over.set()
            self._changed(self)

    def poll(self) -> None:
        """Take notice that somebody asks for it."""
        self._left -= 1
        if self.asks:
            self.become("input_required")
        elif self._left == 0:
            self.become("failed" if self._call.arguments.get("fails") else "completed")

    def take(self, answer: Any) -> None:
        """Take the client's answer, and be done."""
        self.answer = answer
        self.become("completed")


class Jobs:
    """All tasks of one process.

    Args:
        changed: is told of each task whose status changes.
    """

    def __init__(self, changed: Callable[[Job], None]) -> None:
        self._changed = changed
        self._all: dict[str, Job] = {}

    def begin(self, call: Call) -> Job:
        """Make a task of a call."""
        job = Job(call, self._changed)
        self._all[job.id] = job
        call.note("task", key=call.key, task=job.id)
        return job

    def find(self, call: Call) -> Job:
        """Return the task that a request names.

        Raises:
            RpcError: its client has no such task.
        """
        job = self._all.get(str(call.params.get("taskId")))
        if job is None or job.owner is not call.session:
            raise RpcError(INVALID_PARAMS, "no such task")
        return job

    def page(self, call: Call) -> Plain:
        """Return one page of the tasks of a session."""
        own = [job.core for job in self._all.values() if job.owner is call.session]
        begin = int(call.params.get("cursor", 0))
        following = begin + _PAGE
        more = {"nextCursor": str(following)} if following < len(own) else {}
        return {"tasks": own[begin:following], **more}


async def run_modern(jobs: Jobs, method: str, call: Call) -> Plain | None:
    """Answer a modern request if it is about tasks; None if it is not."""
    is_declared = EXTENSION in call.capabilities.get("extensions", {})
    if method == "tools/call" and call.params.get("name") == JOB and is_declared:
        return {"resultType": "task", **jobs.begin(call).extension}
    if method not in ("tasks/get", "tasks/update", "tasks/cancel"):
        return None
    if not is_declared:
        raise RpcError(MISSING_CAPABILITY, "the extension is not declared", _NEEDED)
    job = jobs.find(call)
    if method == "tasks/get":
        job.poll()
        return job.extension
    if method == "tasks/update":
        job.take(call.params["inputResponses"]["name"])
    else:
        job.become("cancelled")
    return {}


async def run_legacy(jobs: Jobs, method: str, call: Call) -> Plain | None:
    """Answer a legacy request if it is about tasks; None if it is not."""
    if method == "tools/call" and call.params.get("name") == JOB and "task" in call.params:
        return {"task": jobs.begin(call).core}
    if method == "tasks/list":
        return jobs.page(call)
    if method not in ("tasks/get", "tasks/result", "tasks/cancel"):
        return None
    job = jobs.find(call)
    if method == "tasks/result":
        assert call.session is not None
        return await _result(job, call, call.session)
    if method == "tasks/get":
        job.poll()
    else:
        job.become("cancelled")
    return job.core


async def _result(job: Job, call: Call, session: Asker) -> Plain:
    """Wait for the end of a task; meanwhile it may ask its client."""
    related = {"_meta": {RELATED: {"taskId": job.id}}}
    if job.asks and not job.over.is_set():
        job.become("input_required")
        asked = question("form", str(job), modern=False)
        asked["params"] |= related
        job.take((await session.ask(asked, call.exchange)).get("result"))
    await job.over.wait()
    if job.status == "failed":
        raise RpcError(**job.error)
    return {**job.result, **related}
