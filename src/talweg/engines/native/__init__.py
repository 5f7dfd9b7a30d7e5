"""The native engine: graph → kernels → one C source → shared object → whole epochs in one call.

In the order in which a program passes through: `schedule` (which tensors are kept, which kernel computes them),
`layout` and `memory` (where they lie), `body` and `loops` (C for elementwise kernels and reductions), `contraction` and
`tiles` (for sums of products), `windows` (for pooling), `transfer` and `unit` (for steps), `vectormath` and `runtime`
(C that every program has), `profile` (counters in it, on request), `build` (compiler and cache), `engine` (the run).
"""

from talweg.engines.native.engine import Native, NativeSession

__all__ = ["Native", "NativeSession"]
