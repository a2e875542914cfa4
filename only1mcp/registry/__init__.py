"""What exists: the declared servers, what each offers, and the immutable snapshot of both."""
