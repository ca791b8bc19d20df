"""What a user's own extension is held to, and a tiny problem to hold machinery to.

`candidates`, `readers` and `stores` are conformance suites: plain functions that any test can call and that fail with an
`AssertionError`. `parcels` is a whole problem, `town` makes its data by a seed. `notebooks` writes small notebooks.
"""
