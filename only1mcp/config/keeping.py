"""Compiles what is said of answers that are kept."""

from only1mcp.config.schema import CacheSection, KeptSection
from only1mcp.registry.server import CacheLimits, Kept

IN_VAIN = ("nothing is kept", "set proxy.cache.enabled: true, or false to do without for now")
"""What is wrong, and what to do."""


def cache_limits(section: CacheSection) -> CacheLimits | None:
    """Return what one worker keeps; None for nothing."""
    return CacheLimits(section.max_bytes, section.max_ttl) if section.enabled else None


def kept(section: KeptSection | None) -> Kept:
    """Return what is kept of one server's answers."""
    if section is None:
        return Kept()
    return Kept(tuple(section.tools.items()), section.default_ttl or 0.0, section.resources)


def keeps_in_vain(common: CacheSection, own: KeptSection | None) -> bool:
    """Say whether a server's answers are to be kept where nobody said if any are."""
    return own is not None and "enabled" not in common.model_fields_set
