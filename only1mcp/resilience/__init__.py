"""Judgements about failure. Pure: each takes `now` in monotonic seconds."""
