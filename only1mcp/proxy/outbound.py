"""A client's request → the request to one backend, in the era that it speaks."""

from collections.abc import Mapping

from only1mcp.backends.call import NOTHING, Outgoing
from only1mcp.protocol.client_features import Feature, read_features
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.log_levels import LEVELS
from only1mcp.protocol.param_headers import check_param_headers, emit_param_headers
from only1mcp.protocol.progress import with_token
from only1mcp.protocol.raw_object import fields, without_fields
from only1mcp.protocol.task_members import without_tasks
from only1mcp.protocol.translate import owned_meta, params_across, spliced_params
from only1mcp.protocol.versions import Era
from only1mcp.registry.snapshot import Snapshot
from only1mcp.routing.router import Route
from only1mcp.sessions.session import Session


def choose_leg(client: Era, server_id: str, snapshot: Snapshot) -> Era:
    """Speak the client's era if the backend knows it, else the one that it knows."""
    eras = snapshot.catalogues[server_id].eras
    if client in eras or not eras:
        return client
    return next(iter(eras))


def client_features(inbound: Inbound, session: Session | None) -> Feature:
    """Return what a server may ask of the client that sent this request."""
    if session is not None:
        return session.features
    envelope = inbound.envelope
    if envelope.capabilities_end <= envelope.capabilities_start + 2:  # `{}`
        return NOTHING
    return read_features(envelope.body[envelope.capabilities_start : envelope.capabilities_end])


def client_token(inbound: Inbound) -> bytes | None:
    """Return the client's own progress token, as JSON."""
    envelope = inbound.envelope
    if not envelope.token_end:
        return None
    token: bytes = envelope.body[envelope.token_start : envelope.token_end]
    return token


def outgoing(
    inbound: Inbound, session: Session | None, route: Route, leg: Era, token: bytes | None,
    level: int | None,
) -> Outgoing:  # fmt: skip
    """Write the request.

    Args:
        inbound: the client's request.
        session: its legacy session, if it has one.
        route: where it goes.
        leg: the era to speak there.
        token: the progress token that stands for the client's own.
        level: the severity from which on the client wants log messages; None for the default.
    """
    method = inbound.method
    assert method is not None
    params = _params(inbound, session, route, leg, level)
    if token is not None:
        params = with_token(params, token)
    features = client_features(inbound, session) if leg is Era.LEGACY else NOTHING
    return Outgoing(
        method.name, params, leg, route.target, safe=method.safe or route.safe,
        features=features, token=token,
        session=session.serial if session is not None else 0, level=level,
        headers=_emitted(inbound, route) if leg is Era.MODERN else (), own=route.own,
        place=route.place, principal=inbound.principal,
    )  # fmt: skip


def check_headers(inbound: Inbound, route: Route, sent: Mapping[str, list[str]]) -> None:
    """Compare the arguments with the headers that repeat them (SEP-2243).

    Raises:
        HeaderMismatch: they differ.
    """
    if route.param_headers and inbound.era is Era.MODERN:
        check_param_headers(route.param_headers, _arguments(inbound), sent)


def _emitted(inbound: Inbound, route: Route) -> tuple[tuple[str, str], ...]:
    if not route.param_headers:
        return ()
    return tuple(emit_param_headers(route.param_headers, _arguments(inbound)).items())


def _arguments(inbound: Inbound) -> bytes | None:
    envelope = inbound.envelope
    params: bytes = envelope.body[envelope.params_start : envelope.params_end]
    return fields(params).get("arguments")


def _params(
    inbound: Inbound, session: Session | None, route: Route, leg: Era, level: int | None
) -> bytes:
    params = spliced_params(inbound.envelope, route.name_start, route.name_end, route.name)
    if leg is inbound.era:
        return params if leg is Era.MODERN or route.own else _without_task(inbound, params)
    owned: list[tuple[str, bytes]] = []
    if leg is Era.MODERN:
        assert session is not None
        owned = owned_meta(without_tasks(session.capabilities), session.client_info)
        wanted = LEVELS[level] if level is not None else DEFAULT_LEVEL
        owned.append(("io.modelcontextprotocol/logLevel", b'"%b"' % wanted.encode()))
    return params_across(params, leg, owned)


def _without_task(inbound: Inbound, params: bytes) -> bytes:
    """Return a call's parameters without the wish for a task, which nobody can grant."""
    if inbound.envelope.method != "tools/call" or b'"task"' not in params:
        return params
    return without_fields(params, {"task"})


DEFAULT_LEVEL = "info"
"""What a legacy client hears that never said which log messages it wants."""
