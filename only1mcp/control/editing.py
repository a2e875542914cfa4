"""Changes servers and the number of workers at the wish of the command line or the admin API.

The file is changed, and taken over at once; so it and what runs never differ.
"""

from typing import Any

from only1mcp.config.overrides import override_paths
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.refusals import EditRefused
from only1mcp.control.outcome import Outcome
from only1mcp.control.over_network import unfit
from only1mcp.control.parsers import Parsers, ReaderFailed
from only1mcp.control.reloader import Reloader
from only1mcp.ingress.admin_refusal import refusal
from only1mcp.process.context import Source

Answer = tuple[int, dict[str, Any]]
INVALID = "CONFIG_INVALID"
_SEE = "only1mcp config schema describes all keys"
_WORKERS = ("proxy", "workers")
_WORKERS_EXAMPLE = 'as {"workers": 4}, or {"workers": "auto"}'
_MAX_DEPTH = 100
"""As deep as a file may be; what is much deeper cannot even be passed on."""
_EXAMPLE = 'as {"id": "search", "url": "http://127.0.0.1:9000/mcp"}'


class Editor:
    """Changes the file that the gateway runs on."""

    def __init__(self, source: Source | None, parsers: Parsers, reloader: Reloader) -> None:
        self._source = source
        self._parsers = parsers
        self._reloader = reloader

    async def add(self, entry: Any, *, local: bool) -> Answer:
        """Add a server; only who is on this machine's own account may name a program."""
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            return 400, refusal("INVALID", "a server is a JSON object with an id", _EXAMPLE)
        if _is_deep(entry, _MAX_DEPTH):
            message = f"the server is nested more than {_MAX_DEPTH} levels deep"
            return 400, refusal("INVALID", message, _EXAMPLE)
        refused = None if local else unfit(entry)
        if refused is not None:
            return 403, refusal(*refused)
        return await self._change("add_server", entry)

    async def remove(self, server_id: str) -> Answer:
        """Remove a server."""
        return await self._change("remove_server", server_id)

    async def switch(self, server_id: str, *, enabled: bool) -> Answer:
        """Enable or disable a server."""
        return await self._change("switch_server", server_id, enabled=enabled)

    async def set_workers(self, wish: Any) -> Answer:
        """Run another number of workers; whoever started the gateway may have had the last word."""
        number = wish.get("workers") if isinstance(wish, dict) else None
        if isinstance(number, bool) or not (isinstance(number, int) or number == "auto"):
            return 400, refusal("INVALID", "the number of workers is not said", _WORKERS_EXAMPLE)
        given = {} if self._source is None else override_paths(self._source.environment)
        if _WORKERS in given:
            message = f"the gateway was started with a number of workers ({given[_WORKERS]})"
            return 409, refusal(
                "OVERRIDDEN", message, "start it without --workers and the variable"
            )
        status, answer = await self._change("set_workers", number)
        if status == 200:
            answer["workers"] = self._reloader.settings.workers
        return status, answer

    async def _change(self, what: str, subject: Any, **how: bool) -> Answer:
        if self._source is None or self._source.path is None:
            hint = "write one: only1mcp init > only1mcp.yaml"
            return 409, refusal("NO_CONFIG", "the gateway runs without a configuration file", hint)
        try:
            await self._parsers.change(what, subject, how)
        except ConfigInvalid as error:
            problems = [problem.to_plain() for problem in error.problems]
            return 422, refusal(INVALID, "it would not be valid", _SEE, problems=problems)
        except (ReaderFailed, TimeoutError) as error:
            why = str(error) or "it took too long"
            message = f"the configuration may not have been changed: {why}"
            return 500, refusal("READER_FAILED", message, "see the gateway's log, and try again")
        except OSError as error:
            message = f"the configuration cannot be changed: {error}"
            return 500, refusal("CANNOT_WRITE", message, "see who may write the file")
        except EditRefused as error:
            return error.http_status, refusal(error.code, str(error), error.hint)
        status, answer = answer_of(await self._reloader.reload("request"))
        if status != 200:
            said = answer["error"]["message"]
            answer["error"]["message"] = f"the change is in the file, but not in force: {said}"
            answer["error"]["written"] = True
        return status, answer


def _is_deep(value: Any, levels: int) -> bool:
    """Say whether a value has more levels of objects and arrays."""
    if not isinstance(value, (dict, list)):
        return False
    below = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_deep(one, levels - 1) for one in below)


def answer_of(outcome: Outcome) -> Answer:
    """Say how a reload went; one that changed nothing because of a mistake is an error."""
    plain = outcome.to_plain()
    if outcome.ok:
        return 200, {"reload": plain}
    code = INVALID if outcome.problems else "RELOAD_FAILED"
    hint = _SEE if outcome.problems else "see the gateway's log"
    return 409, {**refusal(code, outcome.message, hint, problems=outcome.problems), "reload": plain}
