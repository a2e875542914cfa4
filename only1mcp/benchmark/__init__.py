"""An open-loop load generator for MCP endpoints on this machine; no part of a gateway.

Calls are sent at a given rate, whatever the answers do, and each latency counts from the moment at
which its call was due: a server that stalls cannot hide the calls that it kept waiting (coordinated
omission). `Generator` measures from one process, `measure` from several; a `Report` says what came.
"""
