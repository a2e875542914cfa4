"""A server of our own in which every method of MCP can be tried, on every transport, in both eras.

It speaks raw JSON-RPC, so that era and transport are exactly under control, and writes down what it
was sent: see `tests.support.matrix.recorder`.
"""
