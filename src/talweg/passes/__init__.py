"""Passes: graph in, graph out, the same meaning. `talweg.graph.check` runs after each in tests."""

from talweg.passes.crop import crop
from talweg.passes.masks import masks_of_results
from talweg.passes.pool import pool_first
from talweg.passes.simplify import simplify
from talweg.passes.sums import known_sums

__all__ = ["crop", "known_sums", "masks_of_results", "pool_first", "simplify"]
