"""The validated file → frozen settings; what only the whole can show is checked here."""

import ipaddress
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from only1mcp.auth.principal import Key
from only1mcp.config.access import compile_keys, default_rate
from only1mcp.config.disabled import disabled_servers, is_disabled
from only1mcp.config.keeping import IN_VAIN, cache_limits, keeps_in_vain, kept
from only1mcp.config.overrides import override_paths
from only1mcp.config.passing import header_problem, program_problems, split_address
from only1mcp.config.positions import Document, dotted
from only1mcp.config.positions import Path as KeyPath
from only1mcp.config.problems import NOWHERE, ConfigInvalid, Problem
from only1mcp.config.programs import named, program_of
from only1mcp.config.schema import (
    BatchingSection,
    BreakerSection,
    ClientServerSection,
    ConfigFile,
    ProxySection,
    RoutingSection,
    Section,
    ServerSection,
)  # fmt: skip
from only1mcp.config.settings import Settings
from only1mcp.config.substitution import is_text
from only1mcp.ingress.limits import Limits
from only1mcp.protocol.names import server_id
from only1mcp.registry.server import Batching, BreakerPolicy, Instance, Routing, Server

_KINDS = frozenset(
    {"stdio", "local", "http", "streamable-http", "streamablehttp", "streamable_http", "remote",
     "sse", "ws", "websocket"}
)  # fmt: skip
"""What clients call their transports."""
MAX_AUTO_WORKERS = 4
_Section = TypeVar("_Section", bound=Section)
_OF_PROGRAMS: tuple[str, ...] = ("args", "env", "cwd", "replicas")
_OF_ADDRESSES: tuple[str, ...] = ("headers", "auth", "batching")


def compile_settings(
    config: ConfigFile, document: Document, environment: Mapping[str, str]
) -> Settings:
    """Make settings of a valid file.

    Raises:
        ConfigInvalid: its parts contradict each other.
    """
    compiler = _Compiler(config, document, environment)
    servers = compiler.servers()
    keys = compiler.keys()
    compiler.check_exposure()
    if compiler.problems:
        raise ConfigInvalid(compiler.problems)
    proxy = config.proxy
    return Settings(
        host=proxy.host,
        port=proxy.port,
        workers=worker_count(proxy.workers),
        shutdown_timeout_s=proxy.shutdown_timeout,
        limits=_limits(proxy),
        websocket=proxy.listen.websocket,
        sse=proxy.listen.sse,
        page_size=proxy.page_size,
        log_level=config.log.level,
        log_format=config.log.format,
        allowed_hosts=tuple(proxy.allowed_hosts),
        allowed_origins=tuple(proxy.allowed_origins),
        servers=tuple(servers),
        disabled=tuple(disabled_servers(config)),
        keys=keys,
        rate=default_rate(proxy.rate_limit),
        cache=cache_limits(proxy.cache),
        source=document.file,
    )


def worker_count(workers: int | str) -> int:
    """Return how many workers to run."""
    if isinstance(workers, int):
        return workers
    return max(1, min(len(os.sched_getaffinity(0)), MAX_AUTO_WORKERS))


def _limits(proxy: ProxySection) -> Limits:
    limits = proxy.limits
    return Limits(
        max_body=limits.max_body,
        max_header=limits.max_header,
        max_buffered=max(limits.max_buffered, 2 * limits.max_body),
        max_batch=limits.max_batch,
        max_connections=limits.max_connections,
        header_timeout_s=limits.header_timeout,
        idle_timeout_s=limits.idle_timeout,
        max_calls=limits.max_calls,
        max_wait_s=limits.max_wait,
    )


class _Compiler:
    """Collects servers and problems."""

    def __init__(
        self, config: ConfigFile, document: Document, environment: Mapping[str, str]
    ) -> None:
        self._config = config
        self._document = document
        self._environment = environment
        self._seen: dict[str, str] = {}
        self.problems: list[Problem] = []

    def _problem(self, path: KeyPath, what: str, hint: str, *, key: bool = False) -> None:
        file, place = self._document.file, self._document.place(path, key=key)
        variable = override_paths(self._environment).get(tuple(map(str, path)))
        if variable is not None:
            file, place = variable, NOWHERE
        self.problems.append(Problem(file, place, dotted(path), what, hint))

    def keys(self) -> tuple[Key, ...]:
        """Compile all keys, in order."""
        config = self._config
        ids = [*(server.id for server in config.servers), *map(server_id, config.mcp_servers)]
        return compile_keys(config.auth.keys, ids, self._environment, self._problem)

    def check_exposure(self) -> None:
        """Refuse to be reachable from elsewhere while nobody has to authenticate."""
        proxy = self._config.proxy
        is_guarded = bool(self._config.auth.keys) or proxy.allow_unauthenticated
        if not is_guarded and not is_loopback(proxy.host):
            self._problem(
                ("proxy", "host"), f"{proxy.host} is reachable from other machines",
                "set auth.keys, listen on 127.0.0.1, or set proxy.allow_unauthenticated: true",
            )  # fmt: skip

    def servers(self) -> list[Server]:
        """Compile all enabled servers, in order."""
        found = [
            self._server(section, ("servers", index))
            for index, section in enumerate(self._config.servers)
            if section.enabled
        ]
        for label, entry in self._config.mcp_servers.items():
            if not is_disabled(entry):
                section = self._from_client(label, entry)
                if section is not None:
                    found.append(self._server(section, ("mcpServers", label)))
        return [server for server in found if server is not None]

    def _from_client(self, label: str, entry: ClientServerSection) -> ServerSection | None:
        path: KeyPath = ("mcpServers", label)
        kind = (entry.type or "").lower()
        if kind and kind not in _KINDS:
            self._problem(
                (*path, "type"), f"transport {kind!r} is not known",
                "use stdio, http, sse or websocket",
            )  # fmt: skip
            return None
        name = server_id(label)
        if not name:
            self._problem(path, "the name has no letter or digit", "rename the server", key=True)
            return None
        return ServerSection(
            id=name, command=entry.command, args=entry.args, env=entry.env, cwd=entry.cwd,
            url=entry.url, headers=entry.headers, transport="sse" if kind == "sse" else None,
        )  # fmt: skip

    def _server(self, section: ServerSection, path: KeyPath) -> Server | None:
        before = len(self.problems)
        taken = self._seen.setdefault(section.id, dotted(path))
        if taken != dotted(path):
            self._problem(
                (*path, "id"), f"id {section.id!r} is taken by {taken}",
                "give each server an id of its own",
            )  # fmt: skip
        transport = self._transport(section, path)
        if transport == "stdio":
            self._check_command(section, path)
        headers = self._headers(section, path)
        self._check_window(section, path)
        if len(self.problems) > before or transport is None:
            return None
        proxy = self._config.proxy
        health, check = proxy.health, section.health_check
        instances = [Instance(place.url, place.weight, place.region) for place in section.instances]
        if section.url is not None:
            instances = [Instance(section.url)]
        return Server(
            id=section.id,
            transport=transport,
            prefix=_prefix(section),
            command=program_of(section),
            args=tuple(_home(argument) for argument in section.args),
            env=_reveal(section.env),
            cwd=None if section.cwd is None else str(Path(section.cwd).expanduser()),
            replicas=section.replicas,
            instances=tuple(instances),
            headers=headers,
            routing=_routing(proxy.routing, section.routing),
            breaker=_breaker(proxy.circuit_breaker, section.circuit_breaker),
            kept=kept(section.cache),
            batching=_batching(section.batching),
            timeout_s=section.timeout or proxy.timeout,
            handshake_timeout_s=section.handshake_timeout or proxy.handshake_timeout,
            check_interval_s=check.interval or health.check_interval,
            check_timeout_s=check.timeout or health.timeout,
            check_successes=check.success_threshold or health.success_threshold,
            check_failures=check.failure_threshold or health.failure_threshold,
        )

    def _transport(self, section: ServerSection, path: KeyPath) -> str | None:
        """Tell the transport from the keys, and refuse keys that contradict it."""
        addresses = [section.url, *section.instances]
        has_url = any(addresses)
        if bool(section.command) == has_url:
            what = "command and url exclude each other" if has_url else "command or url is missing"
            self._problem(
                path, what, "give command for a program, url for an HTTP server", key=True
            )
            return None
        if section.url is not None and section.instances:
            self._problem((*path, "instances"), "url and instances exclude each other", "")
        transport = self._kind(section, path)
        if path[0] == "servers":  # a client's own map is taken as it is
            self._check_keys(section, path)
        urls = [place.url for place in section.instances]
        if len(set(urls)) != len(urls):
            self._problem((*path, "instances"), "an address stands twice", "use weight instead")
        return transport

    def _check_keys(self, section: ServerSection, path: KeyPath) -> None:
        """Refuse keys that would do nothing."""
        address, keys, hint = "url", _OF_PROGRAMS, "it is for a program, which command names"
        if section.command:
            address, keys, hint = "command", _OF_ADDRESSES, "give a program what it needs in env"
        if keeps_in_vain(self._config.proxy.cache, section.cache):
            self._problem((*path, "cache"), *IN_VAIN, key=True)
        for key in keys:
            if key in section.model_fields_set and getattr(section, key):
                self._problem((*path, key), f"does not go with {address}", hint, key=True)

    def _kind(self, section: ServerSection, path: KeyPath) -> str:
        """Tell the transport, as far as the address allows a choice."""
        is_socket = (section.url or "").startswith("ws")
        fitting = (
            ("stdio",) if section.command else ("websocket",) if is_socket else ("http", "sse")
        )
        asked = section.transport or fitting[0]
        if asked not in fitting:
            self._problem(
                (*path, "transport"), f"does not go with {'command' if section.command else 'url'}",
                f"leave it out or write {' or '.join(fitting)}",
            )  # fmt: skip
            return fitting[0]
        if asked != "http" and section.instances:
            self._problem((*path, "instances"), "only http has instances", "give one url")
        if asked != "http" and section.batching is not None and not section.command:
            self._problem((*path, "batching"), "only http has batches", "", key=True)
        return asked

    def _check_command(self, section: ServerSection, path: KeyPath) -> None:
        """Let only allow-listed programs be started."""
        command = named(section)
        allowed = self._config.stdio.allowed_commands
        search = dict(self._environment).get("PATH")
        if command not in allowed and not (
            "/" in command and any(shutil.which(name, path=search) == command for name in allowed)
        ):
            self._problem(
                (*path, "command"), f"{command!r} is not an allowed command",
                "add it to stdio.allowed_commands",
            )  # fmt: skip
        if section.cwd is not None and not Path(section.cwd).expanduser().is_dir():
            self._problem((*path, "cwd"), f"{section.cwd} is not a directory", "")
        for at, what in program_problems(section.args, dict(_reveal(section.env))):
            self._problem((*path, *at), what, "")

    def _check_window(self, section: ServerSection, path: KeyPath) -> None:
        """Refuse to have calls wait for others until their time is over."""
        timeout_s = section.timeout or self._config.proxy.timeout
        if section.batching is not None and section.batching.window >= timeout_s:
            self._problem(
                (*path, "batching"), f"window is not shorter than the timeout ({timeout_s:g}s)",
                "it adds to the time of a call: 100ms is long",
            )  # fmt: skip

    def _headers(self, section: ServerSection, path: KeyPath) -> tuple[tuple[str, str], ...]:
        headers = dict(_reveal(section.headers))
        auth = section.auth
        if auth is not None:
            token = auth.token.get_secret_value() if auth.token is not None else None
            if auth.token_env is not None:
                token = self._environment.get(auth.token_env)
            if not token or not is_text(token):
                name, lacks = auth.token_env, "text in UTF-8" if token else "set"
                what = f"${{{name}}} is not {lacks}" if name else "token or token_env is missing"
                hint = f"set {name}" if token else f"set it before the start: export {name}=..."
                self._problem((*path, "auth"), what, hint if name else "")
            headers["Authorization"] = f"Bearer {token}"
        for name, value in headers.items():
            problem = header_problem(name, value)
            if problem is not None:
                self._problem((*path, "headers", name), *problem)
        self._check_addresses(section, path, {name.lower() for name in headers})
        return tuple(headers.items())

    def _check_addresses(self, section: ServerSection, path: KeyPath, headers: set[str]) -> None:
        """Refuse addresses that nobody can call."""
        urls: dict[KeyPath, str] = {
            (*path, "instances", index, "url"): place.url
            for index, place in enumerate(section.instances)
        }
        if section.url is not None:
            urls[*path, "url"] = section.url
        for at, url in urls.items():
            try:
                parts = split_address(url)
            except ValueError as error:
                self._problem(at, f"is no address: {error}", "")
                continue
            if "@" in parts.netloc and "authorization" in headers:
                what = "holds credentials, and so do the headers or auth"
                self._problem(at, what, "keep one of them: a request has room for one")


def _routing(common: RoutingSection, own: RoutingSection | None) -> Routing:
    section = _merged(common, own)
    return Routing(
        algorithm=section.algorithm,
        virtual_nodes=section.virtual_nodes,
        hash_key=section.hash_key,
        hash_arguments=tuple(section.hash_arguments),
        spare_percent=round((section.load_bound - 1) * 100),
        sticky=section.sticky_sessions,
        region=section.region,
        adjusts=section.adjust_weights,
        panic_percent=section.panic_threshold,
    )


def _breaker(common: BreakerSection, own: BreakerSection | None) -> BreakerPolicy:
    section = _merged(common, own)
    return BreakerPolicy(
        section.failure_threshold,
        section.success_threshold,
        round(section.timeout * 1000),
        section.heed_checks,
    )


def _batching(section: BatchingSection | None) -> Batching | None:
    if section is None:
        return None
    return Batching(section.window, section.max, section.any_revision)


def _merged(common: _Section, own: _Section | None) -> _Section:
    """Let what a server says for itself stand before what is said for all, key by key."""
    said = {} if own is None else {key: getattr(own, key) for key in own.model_fields_set}
    return common.model_copy(update=said)


def is_loopback(host: str) -> bool:
    """Say whether an address reaches this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _prefix(section: ServerSection) -> str:
    if section.prefix is None:
        return section.id
    return "" if section.prefix == "none" else section.prefix


def _home(argument: str) -> str:
    """Expand a leading `~/`, the one thing that people expect although there is no shell."""
    return str(Path(argument).expanduser()) if argument.startswith("~/") else argument


def _reveal(secrets: Mapping[str, SecretStr]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value.get_secret_value()) for name, value in secrets.items())
