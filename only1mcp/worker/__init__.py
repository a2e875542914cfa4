"""One serving process: it accepts clients, runs the pipeline, and reaches the backends."""
