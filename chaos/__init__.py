"""Faults, caused and survived: each scenario is one command with figures and a pass criterion.

`python -m chaos` runs them all, `python -m chaos worker-kills --seconds 30` one for longer. Load
comes from the open-loop generator of `only1mcp benchmark`, which records the outcome of every call:
where a scenario says zero, it means zero.
"""
