"""Which behaviours try each method and each notification; `tests.matrix.test_coverage` holds it."""

METHODS: dict[str, tuple[str, ...]] = {
    "initialize": ("greeting",),
    "ping": ("ping", "ping of the server", "removed methods"),
    "logging/setLevel": ("log messages", "bad level", "removed methods"),
    "server/discover": ("greeting", "removed methods"),
    "subscriptions/listen": (
        "changed lists", "unwanted changes", "updated resources", "removed methods",
    ),
    "tools/list": ("lists in pages", "bad cursor", "output schemas"),
    "resources/list": ("lists in pages", "bad cursor"),
    "resources/templates/list": ("lists in pages", "bad cursor"),
    "prompts/list": ("lists in pages", "bad cursor"),
    "tools/call": (
        "tools/call", "structured content", "errors", "a task", "no task unasked",
        "tasks of the other era",
    ),
    "resources/read": ("resources/read", "a question of a resource", "unknown names"),
    "prompts/get": ("prompts/get", "a question of a prompt", "unknown names"),
    "completion/complete": ("completion/complete",),
    "resources/subscribe": ("updated resources", "removed methods"),
    "resources/unsubscribe": ("updated resources", "removed methods"),
    "tasks/get": ("a task", "a task that takes its time", "another's task", "methods of tasks"),
    "tasks/cancel": ("a task that is cancelled", "another's task", "methods of tasks"),
    "tasks/result": (
        "a task", "a task that asks", "a task that fails", "another's task", "methods of tasks",
    ),
    "tasks/list": ("listed tasks", "methods of tasks"),
    "tasks/update": ("a task that asks", "methods of tasks"),
}  # fmt: skip
"""Of clients; together the behaviours of each try it on every pair."""
QUESTIONS: dict[str, tuple[str, ...]] = {
    "ping": ("ping of the server", "ping of the server on a shared connection"),
    "roots/list": ("roots", "several questions at once"),
    "sampling/createMessage": ("sampling", "several questions at once", "nobody to ask"),
    "elicitation/create": ("elicitation by form", "elicitation by URL", "URL first", "declined"),
}
"""Of servers."""
NOTIFICATIONS: dict[str, tuple[str, ...]] = {
    "notifications/initialized": ("greeting", "tools/call"),
    "notifications/cancelled": (
        "cancelled by the client", "left by the client", "never answered", "a question withdrawn",
    ),
    "notifications/progress": (
        "progress", "no progress", "progress of an answer", "progress of a task",
    ),
    "notifications/message": ("log messages", "no log messages"),
    "notifications/tools/list_changed": ("changed lists", "unwanted changes"),
    "notifications/prompts/list_changed": ("changed lists", "unwanted changes"),
    "notifications/resources/list_changed": ("changed lists", "unwanted changes"),
    "notifications/resources/updated": ("updated resources", "watched by a client that leaves"),
    "notifications/roots/list_changed": ("roots changed",),
    "notifications/elicitation/complete": ("a URL that is dealt with",),
    "notifications/subscriptions/acknowledged": ("changed lists", "unwanted changes"),
    "notifications/tasks": ("the status of a task",),
    "notifications/tasks/status": ("the status of a task",),
}  # fmt: skip
"""Both ways."""
