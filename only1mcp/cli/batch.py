"""A client's batch on its way through `connect`: what it holds, and one array of answers to it."""

from collections.abc import Callable

from only1mcp._speedups import BATCH, REQUEST, RESPONSE, Envelope, elements, scan
from only1mcp.errors import BackendLost, Only1MCPError
from only1mcp.protocol import jsonrpc


def batched_requests(batch: Envelope) -> list[Envelope]:
    """Return the requests that a batch holds; the gateway says what is wrong with the rest."""
    found = []
    for start, end in elements(batch.body):
        try:
            member = scan(batch.body[start:end])
        except Only1MCPError:
            continue
        if member.kind == REQUEST:
            found.append(member)
    return found


class BatchAnswers:
    """Puts the answers together, whether they come as an array or one by one on a stream.

    Args:
        write: takes each message for the client.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._answers: list[Envelope] = []

    def take(self, body: bytes) -> None:
        """Take a message; what is no answer is passed on at once."""
        message = scan(body)
        if message.kind == BATCH:
            for start, end in elements(body):
                self.take(body[start:end])
        elif message.kind == RESPONSE:
            self._answers.append(message)
        else:
            self._write(body)

    def close(self, requests: list[Envelope], failure: Only1MCPError | None) -> None:
        """Write the answers, with an error for each request that has none."""
        lost = failure or BackendLost("the stream ended before the answer")
        error = jsonrpc.error_member(lost)
        if len(self._answers) == 1 and requests:
            (only,) = self._answers
            if only.id is None:  # the batch was refused, before anybody read the ids
                error = b'"error":' + only.body[only.error_start : only.error_end]
                self._answers = []
        answered = {answer.id for answer in self._answers}
        bodies = [answer.body for answer in self._answers]
        missing = [one.id for one in requests if one.id not in answered]
        bodies += [jsonrpc.response(request_id or b"null", error) for request_id in missing]
        if len(bodies) == 1 and not requests:
            self._write(bodies[0])
        elif bodies:
            self._write(b"[%b]" % b",".join(bodies))
