"""Who calls, and what they may reach: credentials become a principal, a principal has a grant."""
