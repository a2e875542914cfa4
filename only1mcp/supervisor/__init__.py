"""The parent process: one thread, no event loop; it forks, reaps, restarts, and reads no client."""
