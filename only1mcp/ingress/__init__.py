"""[1] How bytes reach us: HTTP, its limits, and who may speak at all."""
