"""Talweg and its peers on the same work, side by side: ``python -m benchmarks``.

In the order in which a run passes through: `environments` (a virtual environment for each peer), `workloads` and `rows`
(what is trained on what), `workers/` (one program for each peer), `conversation` (the driver's side of a worker),
`rounds` (start, check, timing in turns), `whole_process` (start-up and compile times), `machine` (what it ran on),
`table` (what came out).
"""
