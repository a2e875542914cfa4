"""One MCP endpoint in front of many servers.

The life of a request, folder by folder: `ingress` reads it from the socket, `protocol` tells what
it is, `sessions` who sent it, `routing` where it goes, by what `registry` knows of each server;
`proxy` carries it there through `backends` and `transports`, and its answer back.
"""

__version__ = "0.1.0"
