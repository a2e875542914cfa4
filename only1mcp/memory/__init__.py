"""What all processes share: one anonymous mapping, made before the fork, read without locks.

Every word has one writer (or, for the ended sessions, a file lock around its rare writers), so that
nothing is left behind by a process that is killed.
"""
