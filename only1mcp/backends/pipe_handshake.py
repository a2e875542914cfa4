"""Meeting a server on a channel of lines, in its era, however long it takes to start.

Source: 2026-07-28, basic/versioning (Detecting support): a client probes, and falls back to
`initialize` on the same process when the probe is refused or stays unanswered.
"""

from only1mcp.backends.call import FutureSink
from only1mcp.backends.handshake import Hello, discover, initialize, judge_probe, read_initialize
from only1mcp.backends.pipe_session import PipeSession
from only1mcp.errors import BackendProtocolError


class AnsweredLate(BackendProtocolError):
    """A modern server answered the probe only when it had been sent `initialize` as well.

    That may have pinned it to the other era; met anew, it is to be given time for the probe.
    """


async def shake_hands(
    session: PipeSession, timeout_s: float, patience_s: float, *, probe: bool
) -> Hello:
    """Open the session in the newest era that the server speaks.

    Args:
        session: nothing has been said on it.
        timeout_s: time for an answer to the probe.
        patience_s: time for one to `initialize`: some servers are installed while they start.
        probe: whether the server can stand one.

    Raises:
        BackendTimeout: the server stays silent.
        AnsweredLate: it speaks a modern revision, and takes longer than that to say so.
        BackendProtocolError: it speaks no revision of MCP that we know.
    """
    if not probe:
        return await _initialize(session, patience_s)
    sink = FutureSink()
    cancel = session.call(discover(), sink)
    try:
        if await sink.ends_within(timeout_s):
            hello = judge_probe(await sink.wait(None))
            if hello is None:
                return await _initialize(session, patience_s)
            session.opened(hello)
            return hello
        return await _initialize(session, patience_s, late=sink)
    finally:
        cancel()
        sink.forget()


async def _initialize(
    session: PipeSession, patience_s: float, late: FutureSink | None = None
) -> Hello:
    reply = await session.request(initialize(session.features), patience_s)
    if late is not None:  # answers come in order: it has been answered by now, or never will be
        session.ignores_probe = not late.has_ended
        if late.has_ended and judge_probe(await late.wait(None)) is not None:
            raise AnsweredLate(
                "the server was slow to start; it is started again, to speak the newest revision"
            )
    hello = read_initialize(reply)
    session.notify("notifications/initialized")
    session.opened(hello)
    return hello
