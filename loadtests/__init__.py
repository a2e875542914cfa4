"""Programs that load a running gateway for a long time; `make soak` runs them."""
