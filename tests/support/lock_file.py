"""A lock for all tests of one process, which call one after the other."""

from only1mcp.memory.ended_sessions import open_lock_file

LOCK_FILE = open_lock_file()
