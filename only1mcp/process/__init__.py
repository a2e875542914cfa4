"""One process of ours, from its fork to its exit: what all roles have in common."""
