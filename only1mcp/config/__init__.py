"""From files and environment to frozen settings. pydantic, YAML and TOML end here."""
