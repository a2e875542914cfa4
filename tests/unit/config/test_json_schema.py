"""The schema that editors use is the schema that we check by."""

import json
from importlib import resources
from typing import Any

from only1mcp.config.json_schema import write_schema
from only1mcp.config.schema import ConfigFile


def test_the_schema_in_the_package_is_up_to_date() -> None:
    """`only1mcp config schema > only1mcp/config/only1mcp.schema.json` writes it anew."""
    stored = (resources.files("only1mcp.config") / "only1mcp.schema.json").read_text("utf-8")
    assert stored == write_schema()


def described(schema: dict[str, Any]) -> list[str]:
    """Return the keys of our own sections that lack a description."""
    return [
        f"{name}.{key}"
        for name, section in schema["$defs"].items()
        if name != "ClientServerSection"
        for key, field in section["properties"].items()
        if "description" not in field and "$ref" not in field
    ]


def test_every_key_is_described_and_unknown_ones_are_refused() -> None:
    """An editor explains each key and marks what is misspelt."""
    schema = json.loads(write_schema())
    assert described(schema) == []
    strict = {name for name, section in schema["$defs"].items()
              if section.get("additionalProperties") is False}  # fmt: skip
    assert set(schema["$defs"]) - strict == {"ClientServerSection"}
    assert schema["additionalProperties"] is False


def test_the_schema_names_the_keys_of_the_file() -> None:
    """By the names that people write, not those of our classes."""
    properties = json.loads(write_schema())["properties"]
    expected = {field.alias or name for name, field in ConfigFile.model_fields.items()}
    assert set(properties) == expected
    assert "mcpServers" in properties
