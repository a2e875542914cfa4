"""The health board: who says what of each server, and the verdict that all workers read."""
