"""Every way in against every kind of server: each method, each notification, each question.

The fronts are clients of each era on each transport; the backs are the servers of
`tests.support.matrix`. One gateway stands between all of them. What a pair cannot do, and why,
stands in `tests.matrix.gaps`; `python -m tests.matrix.table` writes the outcome as a table.
"""
