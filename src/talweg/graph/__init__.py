"""The graph: symbolic tensors over a closed table of operations. Nothing here computes until an engine does.

>>> from talweg.graph import BATCH, input_tensor, mean, square
>>> x = input_tensor("x", (BATCH, 3))
>>> mean(square(x))
<div [] float>
"""

from talweg.graph import ops  # fills the table  # noqa: F401
from talweg.graph.check import check
from talweg.graph.evaluate import evaluate, numpy_dtype
from talweg.graph.functions import (
    clip,
    l2_norm,
    log_softmax,
    logsumexp,
    mean,
    one_hot,
    ones_like,
    random_normal,
    size,
    softmax,
    softplus,
    square,
    variance,
    zeros_like,
)
from talweg.graph.ops.contraction import dot
from talweg.graph.ops.elementwise import (
    cast,
    cos,
    equal,
    erf,
    exp,
    expm1,
    floor,
    log,
    log1p,
    maximum,
    minimum,
    sigmoid,
    sign,
    sin,
    sqrt,
    stop_gradient,
    tanh,
    where,
)
from talweg.graph.ops.leaves import batch_size, input_tensor, state_tensor
from talweg.graph.ops.movement import concat, expand_dims, pad, reshape, slice, take, transpose
from talweg.graph.ops.random import random_uniform
from talweg.graph.ops.reduction import argmax, max, sum
from talweg.graph.ops.scan import scan
from talweg.graph.ops.window import conv2d, conv2d_transpose, max_pool2d
from talweg.graph.printer import to_graphviz, to_mermaid, to_text
from talweg.graph.program import Program
from talweg.graph.tensor import (
    BATCH,
    TABLE,
    Array,
    Dim,
    DType,
    Operation,
    Shape,
    Tensor,
    TensorLike,
    broadcast_shape,
    broadcast_to,
    constant,
    topological_order,
)

__all__ = [
    "BATCH",
    "TABLE",
    "Array",
    "DType",
    "Dim",
    "Operation",
    "Program",
    "Shape",
    "Tensor",
    "TensorLike",
    "argmax",
    "batch_size",
    "broadcast_shape",
    "broadcast_to",
    "cast",
    "check",
    "clip",
    "concat",
    "constant",
    "conv2d",
    "conv2d_transpose",
    "cos",
    "dot",
    "equal",
    "erf",
    "evaluate",
    "exp",
    "expand_dims",
    "expm1",
    "floor",
    "input_tensor",
    "l2_norm",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "max",
    "max_pool2d",
    "maximum",
    "mean",
    "minimum",
    "numpy_dtype",
    "one_hot",
    "ones_like",
    "pad",
    "random_normal",
    "random_uniform",
    "reshape",
    "scan",
    "sigmoid",
    "sign",
    "sin",
    "size",
    "slice",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "state_tensor",
    "stop_gradient",
    "sum",
    "take",
    "tanh",
    "to_graphviz",
    "to_mermaid",
    "to_text",
    "topological_order",
    "transpose",
    "variance",
    "where",
    "zeros_like",
]
