"""A host with a real server, and workers that the test plays over real links."""

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from only1mcp.config.loader import load_text
from only1mcp.health.manager import HealthReporter
from only1mcp.host.host import Host
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, connect, serve
from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.links.wire import CallFrame, decode_failure, decode_numbered
from only1mcp.memory.ended_sessions import EndedSessions
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.process.context import Context, Shared
from tests.support import asking_child
from tests.support.lock_file import LOCK_FILE
from tests.support.loop import eventually


class Worker:
    """Our end of a link."""

    def __init__(self) -> None:
        self.frames: list[tuple[Kind, int, Any]] = []
        self.link: Link | None = None
        self.is_gone = False

    def make(self) -> Link:
        """Make the end."""
        return Link(self._on_frame, self._on_close)

    def _on_close(self, link: Link) -> None:
        del link
        self.is_gone = True

    def close(self) -> None:
        """Die, as far as the host can see."""
        assert self.link is not None
        self.link.close()

    def _on_frame(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        del link
        if kind is Kind.ASK:
            number, question = decode_numbered(payload)
            self.frames.append((kind, token, (number, json.loads(question))))
        elif kind is Kind.FAILED:
            self.frames.append((kind, token, decode_failure(payload)))
        else:
            self.frames.append((kind, token, json.loads(payload)))

    def send(self, kind: Kind, token: int = 0, payload: bytes = b"") -> None:
        """Send a frame."""
        assert self.link is not None
        assert self.link.send(kind, token, payload)

    def note(self, **note: object) -> None:
        """Tell the host something that concerns no call."""
        self.send(Kind.NOTE, 0, json.dumps(note).encode())

    def call(
        self, token: int, name: str, *, features: int = 0, session: int = 0, **more: Any
    ) -> None:
        """Call a tool."""
        params = json.dumps({"name": name, "arguments": more}).encode()
        frame = CallFrame("srv", "tools/call", params, "legacy", features, session)
        self.send(Kind.CALL, token, frame.encode())

    async def got(self, kind: Kind, token: int = 0) -> Any:
        """Wait for a frame; return what it carries."""
        return await self.until(lambda frame: frame[:2] == (kind, token), f"{kind!r} {token}")

    async def event(self, key: str) -> Any:
        """Wait for an event that has this member; return it."""
        found = await self.until(
            lambda frame: frame[0] is Kind.EVENT and key in frame[2], f"the event {key}"
        )
        return found[key]

    async def until(self, fits: Callable[[tuple[Kind, int, Any]], bool], what: str) -> Any:
        """Wait for a frame that fits, and take it."""
        await eventually(lambda: any(map(fits, self.frames)), what)
        found = next(frame for frame in self.frames if fits(frame))
        self.frames.remove(found)
        return found[2]


class Hosted:
    """A host with one server."""

    def __init__(self, folder: Path) -> None:
        text = (
            f"stdio: {{allowed_commands: ['{sys.executable}']}}\nservers:\n- id: srv\n"
            f"  command: {sys.executable}\n  args: ['{asking_child.__file__}']\n"
        )
        settings = load_text("c.yaml", text, {})
        plan = MetricsPlan(("srv",))
        shared = Shared(
            settings=settings, memory=SharedMemory(Layout(1, 1, plan.size)),
            runtime_dir=RuntimeDir(folder), port=0, lifeline=-1, session_key=bytes(32),
            board_key=bytes(32), ended_lock=LOCK_FILE,
        )  # fmt: skip
        self.ended = EndedSessions(shared.memory, shared.ended_lock)
        reporter = HealthReporter("host", folder / "nobody.sock", b"k")
        self.host = Host(Context(shared, "host"), reporter)
        self.path = shared.runtime_dir.host_socket
        self.workers: list[Worker] = []

    async def worker(self) -> Worker:
        """Let a worker come."""
        worker = Worker()
        worker.link = await connect(self.path, worker.make)
        self.workers.append(worker)
        return worker

    @property
    def remembered(self) -> int:
        """How much the host still knows of calls."""
        return len(self.host._under_way) + len(self.host._asked)


@asynccontextmanager
async def hosted(*, start: bool = True) -> AsyncIterator[Hosted]:
    """Run a host for the time of a block."""
    with tempfile.TemporaryDirectory(prefix="o1-") as folder:
        subject = Hosted(Path(folder))
        server = await serve(subject.path, subject.host.link)
        if start:
            subject.host.start()
        try:
            yield subject
        finally:
            server.close()
            for worker in subject.workers:
                worker.close()
            await eventually(lambda: all(each.is_gone for each in subject.workers), "the ends")
            await subject.host.stop()
