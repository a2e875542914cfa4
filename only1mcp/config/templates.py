"""The configurations to begin with, as they lie in the `templates` folder."""

from importlib import resources

NAMES = ("solo", "team", "enterprise")


def read(name: str) -> str:
    """Return the text of one template."""
    return (resources.files("only1mcp.config") / "templates" / f"{name}.yaml").read_text("utf-8")
