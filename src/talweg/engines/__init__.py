"""Engines: readers of the graph that compute. An engine is a value that is passed in, never a global.

`Reference` is the definition. `engine_by_name("auto")` is the fastest that this machine has.
"""

from talweg.engines.base import Engine, Session
from talweg.engines.choose import engine_by_name
from talweg.engines.reference import Reference

__all__ = ["Engine", "Reference", "Session", "engine_by_name"]
