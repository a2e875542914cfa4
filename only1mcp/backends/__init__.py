"""[5] One backend: its sessions, its era, its ids, and the calls under way on it."""
