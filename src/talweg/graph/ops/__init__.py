"""The closed table of operations, one family a module. Importing this package fills `talweg.graph.tensor.TABLE`."""

from talweg.graph.ops import contraction, elementwise, leaves, movement, random, reduction, scan, window

__all__ = ["contraction", "elementwise", "leaves", "movement", "random", "reduction", "scan", "window"]
