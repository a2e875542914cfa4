"""What confines a child process before it becomes somebody else's program."""
