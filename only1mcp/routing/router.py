"""A classified message and a snapshot → the servers to ask, in order, and the name to use there."""

from dataclasses import dataclass

from only1mcp._speedups import Envelope, members
from only1mcp.errors import InvalidParams, UnknownTarget, UnlistedTarget
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.names import qualify
from only1mcp.protocol.param_headers import ParamHeader
from only1mcp.registry.snapshot import Snapshot, Target


@dataclass(slots=True)
class Route:
    """Where a call goes."""

    server_ids: tuple[str, ...]
    """Asked one after the other, the next only if the one before has none but an error to give."""
    target: str
    """The owner's own name of the target, for the Mcp-Name header."""
    name: bytes | None = None
    """What replaces the span below; None to send the message as it is."""
    name_start: int = 0
    name_end: int = 0
    wraps_output: bool = False
    """Whether legacy clients get the tool's structured output inside an object."""
    param_headers: tuple[ParamHeader, ...] = ()
    """The arguments that the owner wants repeated as headers (`x-mcp-header`)."""
    safe: bool = False
    """Whether the owner says that the tool may be called twice where once was meant."""
    only_reads: bool = False
    """Whether the owner says that the tool changes nothing."""
    place: str = ""
    """The one instance of the owner that can answer; empty when any can."""
    own: bool = False
    """Whether it goes on the connection that is the session's own: it is about a task."""


def route(inbound: Inbound, snapshot: Snapshot) -> Route:
    """Find who owns the target of a call.

    Raises:
        InvalidParams: the parameter that names the target is missing.
        UnknownTarget: nobody owns it, as far as is known.
    """
    method, envelope = inbound.method, inbound.envelope
    assert method is not None
    if method.target == "uri":
        return route_uri(_required(envelope.uri, "uri"), snapshot)
    if method.target == "ref":
        return _by_ref(envelope, snapshot)
    name = _required(envelope.name, "name")
    kind, index = ("tool", snapshot.tools) if method.name == "tools/call" else (
        "prompt", snapshot.prompts)  # fmt: skip
    target = index.get(name)
    if target is None:
        raise _unknown(kind, name, snapshot)
    return _to(target, envelope.name_start, envelope.name_end)


def _unknown(kind: str, name: str, snapshot: Snapshot) -> UnknownTarget:
    """Say that nobody has it, or who may have it that was never up."""
    for prefix, server_id in snapshot.unlisted.items():
        if name.startswith(qualify(prefix, "")):
            return UnlistedTarget(
                f"server {server_id} is not up, and was not since the start",
                hint=f"see `only1mcp status` and the log lines of server={server_id}",
            )
    return UnknownTarget(f"unknown {kind}: {name[:200]}", hint=f"list the {kind}s again")


def _to(target: Target, start: int, end: int) -> Route:
    return Route(
        (target.server_id,), target.name, target.raw_name, start, end, target.wraps_output,
        target.param_headers, target.safe, target.only_reads,
    )  # fmt: skip


def _required(value: str | None, key: str) -> str:
    if value is None:
        raise InvalidParams(f"params.{key} must be a string")
    return value


def route_uri(uri: str, snapshot: Snapshot) -> Route:
    """Find who has a resource.

    Raises:
        UnknownTarget: nobody has resources at all.
    """
    owner = snapshot.resources.get(uri)
    if owner is not None:
        return Route((owner,), uri)
    servers = [server for _, template, server in snapshot.templates if template.matches(uri)]
    scheme = uri.partition(":")[0] + ":"
    servers += [owner for known, owner in snapshot.resources.items() if known.startswith(scheme)]
    servers += [
        server for server, catalogue in snapshot.catalogues.items()
        if "resources" in catalogue.capabilities
    ]  # fmt: skip
    if not servers:
        raise UnknownTarget(f"unknown resource: {uri[:200]}", data={"uri": uri})
    return Route(tuple(dict.fromkeys(servers)), uri)


def _by_ref(envelope: Envelope, snapshot: Snapshot) -> Route:
    """Route completion/complete by what its `ref` refers to (server/utilities/completion)."""
    body: bytes = envelope.body
    params = members(body, envelope.params_start) if envelope.params_end else []
    span = next(((a, b) for key, a, b in params if key == "ref"), None)
    if span is None or body[span[0] : span[0] + 1] != b"{":
        raise InvalidParams("params.ref must be an object")
    ref = {key: (a, b) for key, a, b in members(body, span[0])}
    kind, name, template = (
        as_string(body[a:b]) for a, b in (ref.get(key, (0, 0)) for key in ("type", "name", "uri"))
    )
    if kind == "ref/prompt" and name is not None:
        target = snapshot.prompts.get(name)
        if target is None:
            raise _unknown("prompt", name, snapshot)
        return _to(target, *ref["name"])
    if kind == "ref/resource" and template is not None:
        owners = [server for known, _, server in snapshot.templates if known == template]
        return Route((owners[0],), template) if owners else route_uri(template, snapshot)
    raise InvalidParams("params.ref must be a ref/prompt with a name or a ref/resource with a uri")
