"""The path of a request, and [6] its answer."""
