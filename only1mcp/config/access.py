"""The keys of the file → keys as the processes know them: hashed, each with one owner."""

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping

from only1mcp.auth.grant import is_literal
from only1mcp.auth.principal import Key
from only1mcp.config.positions import Path
from only1mcp.config.schema import DefaultRateSection, KeySection, RateSection
from only1mcp.resilience.limiter import Rate

MIN_KEY_CHARACTERS = 22
"""So many it takes to write 128 random bits."""
MIN_DIFFERENT = 10
_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_NEW = "make one: only1mcp keys new"
OnProblem = Callable[[Path, str, str], None]
"""Takes the place, what is wrong there, and a hint."""


def compile_keys(
    sections: Iterable[KeySection], servers: Iterable[str], environment: Mapping[str, str],
    on_problem: OnProblem,
) -> tuple[Key, ...]:  # fmt: skip
    """Compile all keys, in order.

    Args:
        sections: as they stand in the file.
        servers: the ids of all servers that are declared.
        environment: where keys may stand.
        on_problem: takes what is wrong.
    """
    known, keys = set(servers), list[Key]()
    for index, section in enumerate(sections):
        path: Path = ("auth", "keys", index)
        digest = _digest(section, path, environment, on_problem)
        if any(key.id == section.id for key in keys):
            on_problem((*path, "id"), f"id {section.id!r} stands twice", "give each key its own")
        if any(key.digest == digest != "" for key in keys):
            on_problem(path, "is the same key as another", "one key has one owner")
        for number, pattern in enumerate(section.servers):
            if is_literal(pattern) and pattern not in known:
                close = difflib.get_close_matches(pattern, known, n=1, cutoff=0.6)
                hint = f'Did you mean "{close[0]}"?' if close else "* stands for any text"
                on_problem((*path, "servers", number), f"no server is called {pattern!r}", hint)
        limit = section.rate_limit
        keys.append(
            Key(
                section.id, digest, tuple(section.servers), tuple(section.tools),
                None if limit is None else _rate(limit), section.admin,
            )
        )  # fmt: skip
    return tuple(keys)


def default_rate(section: DefaultRateSection) -> Rate | None:
    """Return the rate of those that have none of their own."""
    return _rate(section) if section.enabled else None


def _rate(section: RateSection) -> Rate:
    return Rate(section.requests, section.per, section.burst or section.requests)


def _digest(
    section: KeySection, path: Path, environment: Mapping[str, str], on_problem: OnProblem
) -> str:
    """Return the SHA-256 of a key; nothing when there is none that will do."""
    if (section.hash is None) == (section.key_env is None):
        what = "exclude each other" if section.hash else "are both missing"
        on_problem(path, f"hash and key_env {what}", _NEW)
        return ""
    if section.hash is not None:
        return section.hash.removeprefix("sha256:")
    name = section.key_env or ""
    key = environment.get(name, "")
    if not key:
        on_problem((*path, "key_env"), f"${{{name}}} is not set", f"set {name}; {_NEW}")
    elif not _KEY.fullmatch(key):
        what = f"${{{name}}} has characters that no header may bring"
        on_problem((*path, "key_env"), what, _NEW)
    elif len(key) < MIN_KEY_CHARACTERS or len(set(key)) < MIN_DIFFERENT:
        what = f"${{{name}}} can be guessed: it has less than 128 random bits"
        on_problem((*path, "key_env"), what, _NEW)
    else:
        return hashlib.sha256(key.encode()).hexdigest()
    return ""
