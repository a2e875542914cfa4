"""The JSON Schema of the configuration file, for editors."""

import json

from only1mcp.config.schema import ConfigFile


def write_schema() -> str:
    """Return the schema as the text that stands in `only1mcp.schema.json`."""
    schema = ConfigFile.model_json_schema(by_alias=True, mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Only1MCP configuration"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
