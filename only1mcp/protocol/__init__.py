"""[2] What MCP is: messages, methods, revisions, names, framings. Pure: no IO, no clock, no log."""
