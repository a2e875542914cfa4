"""The process behind the admin API; traffic goes on without it."""
