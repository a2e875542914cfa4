"""The shape of the file. Unknown keys are errors, except inside a client's own `mcpServers`."""

from typing import Annotated, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
)

from only1mcp.config.quantities import Duration, Lifetime, Size, Workers

ServerId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?$", max_length=64)
]
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{0,64}$")]
URL_PATTERN = r"^https?://[^\s/?#]+[^\s#]*$"
HttpUrl = Annotated[str, StringConstraints(pattern=URL_PATTERN)]
ANY_URL_PATTERN = URL_PATTERN.replace("https?", "(https?|wss?)")
Url = Annotated[str, StringConstraints(pattern=ANY_URL_PATTERN)]
HOST_PATTERN = r"^([A-Za-z0-9._-]+|\[?[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]?)$"
"""A name or an address; a port is not compared, and a star would match nothing."""
HostName = Annotated[str, StringConstraints(pattern=HOST_PATTERN)]
ORIGIN_PATTERN = r"^[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#*]+/?$"
Origin = Annotated[str, StringConstraints(pattern=ORIGIN_PATTERN)]
KEY_HASH_PATTERN = r"^sha256:[0-9a-f]{64}$"
KeyHash = Annotated[str, StringConstraints(pattern=KEY_HASH_PATTERN)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Algorithm = Literal[
    "round_robin", "least_connections", "consistent_hash", "random", "weighted_random"
]
MAX_INSTANCES = 64
Version = Annotated[
    Literal["1.0", "1"], BeforeValidator(str), WithJsonSchema({"enum": ["1.0", "1", 1]})
]
"""YAML reads an unquoted 1.0 as a number."""
MAX_BODY = 32 * 2**20
"""More would not fit on the links between our processes, nor into a child's input."""
DEFAULT_COMMANDS = ("node", "npx", "python", "python3", "uvx")


class Section(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class LimitsSection(Section):
    """Bounds on what one client may ask."""

    max_body: Size = Field(4 * 2**20, le=MAX_BODY, description="Largest request body.")
    max_header: Size = Field(32 * 2**10, description="Largest request head, all headers together.")
    max_buffered: Size = Field(
        64 * 2**20,
        description="Request bodies that one worker holds, all clients together, and likewise "
        "answers that clients have not read; never less than twice max_body.",
    )
    max_batch: int = Field(
        100, ge=1, le=1000, description="Members of a JSON-RPC batch, which 2025-03-26 allows."
    )
    max_connections: int = Field(10_000, ge=1, description="Client connections at a time.")
    header_timeout: Duration = Field(10.0, description="Time for a request to come in.")
    idle_timeout: Duration = Field(
        75.0, description="Time between two requests on a connection, and for a client to read on."
    )
    max_calls: int = Field(
        1024, ge=1, description="Calls that one worker has under way at one server, 256 at most at "
        "one address; further ones wait in line.",
    )  # fmt: skip
    max_wait: Duration = Field(
        0.1, description="When requests have waited so long in that line, or for a busy worker, "
        "more are refused at once with 503 and Retry-After.",
    )  # fmt: skip


class ListenSection(Section):
    """Ways in besides Streamable HTTP on /mcp, which is always open."""

    websocket: bool = Field(False, description="MCP on a WebSocket: GET /ws, subprotocol mcp.")
    sse: bool = Field(False, description="HTTP+SSE of 2024-11-05: GET /sse, POST /messages.")


class RoutingSection(Section):
    """How instances of a server share its calls."""

    algorithm: Algorithm = Field("least_connections", description="How an instance is chosen.")
    virtual_nodes: int = Field(
        150, ge=1, le=1000, description="Of each instance on the ring of consistent_hash."
    )
    hash_key: Literal["session", "principal", "tool", "arguments"] = Field(
        "tool", description="What places a call with consistent_hash."
    )
    hash_arguments: list[str] = Field(
        [], description="Arguments that place it, with hash_key: arguments; all when left out."
    )
    load_bound: float = Field(
        1.25, ge=1.0, le=10.0,
        description="How much of its share of the calls under way an instance takes with "
        "consistent_hash before the next takes over; 1 for no bound.",
    )  # fmt: skip
    sticky_sessions: bool = Field(
        True, description="Whether the calls of a legacy session stay with one instance."
    )
    region: str = Field("", description="Ours; instances of the same region come first.")
    adjust_weights: bool = Field(
        False, description="Give instances that are slow or fail less than their weight."
    )
    panic_threshold: int = Field(
        0, ge=0, le=100,
        description="Percentage of instances: when fewer are up, calls go to all.",
    )  # fmt: skip


class HealthSection(Section):
    """Active checks of the servers."""

    check_interval: Duration = Field(10.0, description="Time between two checks of a server.")
    timeout: Duration = Field(5.0, description="Time for the answer to a check.")
    failure_threshold: int = Field(
        3, ge=1, le=100, description="Unanswered checks in a row after which a server is down."
    )
    success_threshold: int = Field(
        2, ge=1, le=100, description="Answered ones after which an instance is up again."
    )


class RateSection(Section):
    """How much a caller may ask: a bucket of tokens that fills evenly."""

    requests: int = Field(60, ge=1, le=1_000_000_000, description="So many requests")
    per: Duration = Field(60.0, description="in so long a time.")
    burst: int | None = Field(
        None, ge=1, le=1_000_000_000, description="How many at once; as many as requests."
    )


class DefaultRateSection(RateSection):
    """The rate of callers that have none of their own."""

    enabled: bool = Field(False, description="Whether there is one.")


class KeySection(Section):
    """One key, and what its owner may reach. `only1mcp keys new` makes one."""

    id: ServerId = Field(description="Names the owner in logs and metrics.")
    hash: KeyHash | None = Field(None, description="sha256: and the key's SHA-256.")
    key_env: str | None = Field(
        None, min_length=1, description="Environment variable that holds the key, read at start."
    )
    servers: list[Pattern] = Field(
        ["*"], description="Ids of the servers that exist for it; * stands for any text."
    )
    tools: list[Pattern] = Field(
        ["*"], description="Names of the tools that exist for it, of those servers."
    )
    admin: bool = Field(False, description="Whether it may read metrics and the admin API.")
    rate_limit: RateSection | None = Field(None, description="Instead of proxy.rate_limit.")


class AccessSection(Section):
    """Who may use the gateway; with any key, nobody without one."""

    keys: list[KeySection] = Field([], max_length=1000, description="One for each owner.")


class BreakerSection(Section):
    """When an instance that fails gets no calls for a while."""

    failure_threshold: int = Field(
        5, ge=1, le=1000, description="Failures in a row that open its circuit breaker."
    )
    success_threshold: int = Field(
        3, ge=1, le=1000, description="Calls let through to try it; all must go well."
    )
    timeout: Duration = Field(30.0, description="Time until it is tried again.")
    heed_checks: bool = Field(
        True, description="Try it earlier when a health check goes well, ever later if in vain."
    )


class CacheSection(Section):
    """Answers that are kept and given again; nothing is, unless its server says which."""

    enabled: bool = Field(False, description="Whether answers are kept.")
    max_bytes: Size = Field(
        64 * 2**20, ge=2**16, description="What each worker keeps; who was used last stays."
    )
    max_ttl: Duration = Field(
        3600.0, description="The longest that a resource is kept, whatever its server allows."
    )


class ProxySection(Section):
    """The gateway itself."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    workers: Workers = Field(
        "auto", description="Worker processes; auto is one for each core, four at most."
    )
    timeout: Duration = Field(30.0, description="Time for a call.")
    handshake_timeout: Duration = Field(5.0, description="Time for a server's handshake and lists.")
    shutdown_timeout: Duration = Field(30.0, description="Time for requests to finish at a stop.")
    page_size: int = Field(1000, ge=1, description="Items on one page of a list.")
    allowed_hosts: list[HostName] = Field([], description="Host names served besides loopback's.")
    allowed_origins: list[Origin] = Field([], description="Web origins that may call.")
    allow_unauthenticated: bool = Field(
        False, description="Listen beyond loopback although nobody has to authenticate."
    )
    listen: ListenSection = ListenSection()
    limits: LimitsSection = LimitsSection()
    routing: RoutingSection = RoutingSection()
    health: HealthSection = HealthSection()
    rate_limit: DefaultRateSection = DefaultRateSection()
    circuit_breaker: BreakerSection = BreakerSection()
    cache: CacheSection = CacheSection()


class LogSection(Section):
    """Logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level.")
    format: Literal["auto", "text", "json"] = Field(
        "auto", description="auto: text on a terminal, JSON elsewhere."
    )


class StdioSection(Section):
    """What child processes may be."""

    allowed_commands: list[str] = Field(
        list(DEFAULT_COMMANDS), description="Programs that may be started, by name or full path."
    )


class InstanceSection(Section):
    """One of several addresses of a server."""

    url: HttpUrl = Field(description="Its MCP endpoint.")
    weight: int = Field(1, ge=1, le=1000, description="Its share of the calls.")
    region: str = Field("", description="Where it is; see routing.region.")


class AuthSection(Section):
    """Credentials that we show the server."""

    type: Literal["bearer"] = Field("bearer", description="The only kind so far.")
    token: SecretStr | None = Field(None, description="The token; better use token_env.")
    token_env: str | None = Field(None, description="Environment variable that holds the token.")


class CheckSection(Section):
    """Active checks of one server."""

    interval: Duration | None = Field(None, description="Time between two checks.")
    timeout: Duration | None = Field(None, description="Time for the answer to a check.")
    failure_threshold: int | None = Field(
        None, ge=1, le=100, description="Unanswered checks in a row after which it is down."
    )
    success_threshold: int | None = Field(
        None, ge=1, le=100, description="Answered ones after which an instance is up again."
    )


class KeptSection(Section):
    """Which answers of a server may be given again, to the same caller."""

    tools: dict[Pattern, Lifetime] = Field(
        {}, description="How long those of a tool are good, by the server's own name; * stands "
        "for any text, a whole name comes before patterns; never for not at all.",
    )  # fmt: skip
    default_ttl: Duration | None = Field(
        None, description="The same for tools that say they only read, and are not named."
    )
    resources: bool = Field(
        True, description="Whether its resources are kept as long as it says itself (ttlMs)."
    )


class BatchingSection(Section):
    """Calls that travel together, as a JSON-RPC batch, to a legacy server that takes such."""

    window: Duration = Field(0.1, description="How long the first of them waits for others.")
    max: int = Field(100, ge=2, le=1000, description="So many are sent without waiting longer.")
    any_revision: bool = Field(
        False,
        description="Whether the server takes batches although it speaks another revision than "
        "2025-03-26, the only one that has them.",
    )


class ServerSection(Section):
    """One MCP server."""

    id: ServerId = Field(description="Its name here; stands before its tools' names.")
    enabled: bool = Field(True, description="Whether it is served.")
    transport: Literal["http", "stdio", "sse", "websocket"] | None = Field(
        None, description="Told by command and url when left out; sse is the one of 2024-11-05."
    )
    command: str | None = Field(None, min_length=1, description="Program of a stdio server.")
    args: list[str] = Field([], description="Its arguments; no shell sees them.")
    env: dict[str, SecretStr] = Field({}, description="Its environment besides a short list.")
    cwd: str | None = Field(None, description="Its working directory.")
    replicas: int = Field(
        1, ge=1, le=MAX_INSTANCES, description="How many processes of the program share its calls."
    )
    url: Url | None = Field(None, description="Endpoint of a server on the network.")
    instances: list[InstanceSection] = Field(
        [], max_length=MAX_INSTANCES, description="Several endpoints instead of url."
    )
    headers: dict[str, SecretStr] = Field({}, description="Sent with every request to it.")
    auth: AuthSection | None = Field(None, description="Credentials for it.")
    prefix: Prefix | None = Field(
        None, description="Stands before its names instead of the id; none for no prefix."
    )
    timeout: Duration | None = Field(None, description="Time for a call to it.")
    handshake_timeout: Duration | None = Field(None, description="Time for its handshake.")
    health_check: CheckSection = Field(CheckSection(), description="Checks of this server.")
    routing: RoutingSection | None = Field(None, description="For this server's instances.")
    circuit_breaker: BreakerSection | None = Field(None, description="For this server.")
    cache: KeptSection | None = Field(None, description="Which of its answers are kept.")
    batching: BatchingSection | None = Field(
        None, description="Send it calls in batches; {} for the defaults."
    )


class ClientServerSection(BaseModel):
    """An entry of a client's `mcpServers`, whichever client it is from; other keys are ignored."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    type: str | None = Field(
        None, validation_alias=AliasChoices("type", "transport", "transportType")
    )
    command: str | None = Field(None, min_length=1)
    args: list[str] = []
    env: dict[str, SecretStr] = {}
    cwd: str | None = None
    url: Url | None = Field(
        None, validation_alias=AliasChoices("url", "httpUrl", "serverUrl", "uri")
    )
    headers: dict[str, SecretStr] = {}
    disabled: bool = False
    enabled: bool = True


class ConfigFile(Section):
    """The whole file."""

    version: Version = Field("1.0", description="Of this format.")
    proxy: ProxySection = ProxySection()
    auth: AccessSection = AccessSection()
    log: LogSection = LogSection()
    stdio: StdioSection = StdioSection()
    servers: list[ServerSection] = Field([], description="The servers behind the endpoint.")
    mcp_servers: dict[str, ClientServerSection] = Field(
        {}, alias="mcpServers", description="A client's own map, as it is."
    )
