"""Passes: graph in, graph out, the same meaning. `talweg.graph.check` runs after each in tests."""

from talweg.passes.crop import crop
from talweg.passes.pool import pool_first
from talweg.passes.simplify import simplify

__all__ = ["crop", "pool_first", "simplify"]
