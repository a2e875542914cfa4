"""Legacy sessions that no process has to remember."""
