"""A server with everything the official conformance suite asks for, on the Python SDK 2.

The suite knows the names of tools, prompts and resources by heart. Not a part of the test process:
`conformance_server.py` beside this package runs it in .real/py2.
"""
