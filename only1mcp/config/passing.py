"""What no program and no request can take: said with the configuration, not at the first call."""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

_LINE_ENDS = re.compile(r"[\r\n\0]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~_-]+")
"""Source: RFC 9110, section 5.6.2."""
_OURS = frozenset({"connection", "content-length", "transfer-encoding"})


def header_problem(name: str, value: str) -> tuple[str, str] | None:
    """Say what is wrong with a header, and what to do; None when it can be sent."""
    if _LINE_ENDS.search(name + value):
        return "holds a line end", ""
    if _TOKEN.fullmatch(name) is None:
        return "is no name of a header", "use letters, digits and '-'"
    if _CONTROL.search(value):
        return "holds a control character", ""
    if name.lower() in _OURS:
        return "is written by the gateway itself", "leave it out"
    return None


def split_address(url: str) -> SplitResult:
    """Take an address apart.

    Raises:
        ValueError: nobody can call it.
    """
    parts = urlsplit(url)
    _ = parts.port
    if not parts.hostname:
        raise ValueError("there is no host")
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        raise ValueError("a part of the host is empty or too long") from None
    return parts


def program_problems(
    args: Sequence[str], env: Mapping[str, str]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what the kernel would refuse, each with its place in the section."""
    for index, argument in enumerate(args):
        if "\0" in argument:
            yield ("args", index), "holds a NUL character"
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            yield ("env", name), "is no name of a variable"
        elif "\0" in value:
            yield ("env", name), "holds a NUL character"
