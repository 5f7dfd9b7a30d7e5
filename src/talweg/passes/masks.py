"""Masks: where a ReLU let nothing through is read off what it made, which is kept for the next layer in any case.

y = where(x <= 0, 0, x) is 0 just where x <= 0, and NaN where x is; so x <= 0 is y <= 0, and no mask need be kept from
the way forward to the way back.
"""

from __future__ import annotations

from talweg.graph import Program, Tensor
from talweg.passes.simplify import number


def masks_of_results(program: Program) -> Program:
    """The same program; what else asks whether a rectified number is above 0 asks the result.

    >>> from talweg.graph import input_tensor, to_text, where
    >>> x, g = input_tensor("x", (3,)), input_tensor("g", (3,))
    >>> off = x <= 0
    >>> p = Program("p", (x, g), (), {"y": where(off, 0, x), "dx": where(off, 0, g)}, {})
    >>> print(to_text(masks_of_results(p)))
    program p
      input x                      [3] float
      input g                      [3] float
      %4      = less_equal(x, 0)   [3] bool
      %7      = where(%4, 0, x)    [3] float
      %8      = less_equal(%7, 0)  [3] bool
      %11     = where(%8, 0, g)    [3] float
      output y = %7
      output dx = %11
    """
    rectified = {y.inputs[0]: y for y in program.order if _is_rectified(y)}
    if not rectified:
        return program
    new: dict[Tensor, Tensor] = {}
    for node in program.order:
        inputs = []
        for x in node.inputs:
            y = rectified.get(x)
            if y is None or y not in new:  # y itself, and who comes before it, ask as they did
                inputs.append(new[x])
            else:
                inputs.append(x.op(new[y], new[x.inputs[1]]))
        new[node] = node.of(tuple(inputs))
    return program.with_results(new[t] for t in program.results)


def _is_rectified(node: Tensor) -> bool:
    if node.op.name != "where" or node.inputs[0].op.name != "less_equal" or number(node.inputs[1]) != 0:
        return False
    x, zero = node.inputs[0].inputs
    return node.inputs[2] is x and number(zero) == 0
