"""What nobody may have put into the configuration over the network, whoever asks.

A program would run here; a variable or a file of this machine would be sent to an address that the
same request names.
"""

from typing import Any

OF_PROGRAMS = frozenset({"command", "args", "env", "cwd"})
FROM_HERE = "${"
_HINT = "on the gateway's machine: only1mcp add"


def unfit(entry: dict[str, Any]) -> tuple[str, str, str] | None:
    """Return code, message and hint of why an entry is not taken; None if it is."""
    if OF_PROGRAMS & entry.keys() or entry.get("transport") == "stdio":
        return "NO_PROGRAMS", "no program is taken over the network", _HINT
    if _names_ours(entry):
        return (
            "NO_REFERENCES",
            "no variable or file of this machine is taken over the network",
            _HINT,
        )
    return None


def _names_ours(value: Any) -> bool:
    """Say whether anything in it stands for what only this machine knows."""
    if isinstance(value, dict):
        named = any(str(key).endswith(("_env", "_file")) for key in value)
        return named or any(map(_names_ours, value)) or any(map(_names_ours, value.values()))
    if isinstance(value, list):
        return any(map(_names_ours, value))
    return isinstance(value, str) and FROM_HERE in value
