"""Recurrent layers: a formula that goes along a sequence and remembers. The loop itself is `talweg.graph.scan`.

What does not depend on the step before, x W + b, is one product for all steps; the loop adds what does, h U.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Array, Tensor
from talweg.graph.random import RandomStream
from talweg.nn import activations, constraints, initializers, regularizers
from talweg.nn.layers.base import Context, Layer, Parameter
from talweg.nn.layers.regularization import _dropped
from talweg.registry import setting


class _Recurrent(Layer):
    """The base: a kernel W for what comes, a recurrent kernel U for what was remembered, a bias b, for each gate.

    Subclasses write `step`. Called on a list, or with `initial_state`, it begins with the states that it is given.
    At a step that a mask leaves out, states and answer stay as they were; with `zero_output_for_mask` the answer is 0.
    As in Keras 3, a sequence's mask is handed on but not looked at beside `initial_state`, and it is not turned round
    with `go_backwards`.
    """

    takes_several = True
    supports_masking = True
    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    ranges: ClassVar[Mapping[str, str]] = {"units": "{1, 2, ...}", "dropout": "[0, 1)", "recurrent_dropout": "[0, 1)"}

    units: int
    activation: Any
    use_bias: bool
    activity_regularizer: Any
    dropout: float
    recurrent_dropout: float
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    seed: int | None
    zero_output_for_mask: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stateful:
            kind = type(self).__name__
            raise UsageError(
                f"{kind}: a layer keeps no state between batches, whose length is free. Give it the state: "
                f"y, *states = {kind}(units, return_state=True)(x, initial_state=states)"
            )

    def __call__(self, inputs: Any, training: bool | None = None, mask: None = None, initial_state: Any = None) -> Any:
        """As every layer; `initial_state` is a placeholder of (batch, units) for each state, in place of zeros."""
        if initial_state is not None:
            states = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
            inputs = [*(inputs if isinstance(inputs, (list, tuple)) else [inputs]), *states]
        return super().__call__(inputs, training, mask)

    def parameters(self, input_shape: Any) -> Iterable[Parameter]:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        if len(shapes[0]) != 2:
            hint = ": add a channel axis, Reshape((steps, 1))" if len(shapes[0]) == 1 else ""
            raise ShapeError(
                f"layer {self.name!r}: {type(self).__name__} needs examples of (steps, features); "
                f"got {list(shapes[0])}{hint}"
            )
        if shapes[1:] and [tuple(s) for s in shapes[1:]] != [(self.units,)] * self.states:
            raise ShapeError(
                f"layer {self.name!r}: {type(self).__name__} begins with {self.states} of [{self.units}] beside its "
                f"sequence; got {', '.join(str(list(s)) for s in shapes[1:])}"
            )
        width = self.units * self.gates
        yield self.weight("kernel", (shapes[0][-1], width))
        yield self.weight("recurrent_kernel", (self.units, width), of="recurrent")
        if self.use_bias:
            yield self.bias()

    def bias(self) -> Parameter:
        return self.weight("bias", (self.units * self.gates,))

    def input_bias(self, p: Any) -> Tensor | None:
        """What is added to x W."""
        return p.bias if self.use_bias else None

    def step(self, z: Tensor, seen: Tensor, states: Sequence[Tensor], p: Any) -> list[Tensor]:
        """The new states, h first. z: x W + b, (batch, gates · units). seen: the h before, or what is left of it."""
        raise UsageError(f"{type(self).__name__} must define step(z, seen, states, p)")

    def run(self, x: Any, p: Any, context: Context) -> tuple[Tensor, Tensor, list[Tensor]]:
        """What is said at every step, each where its x is; what is said at the end; and the last states."""
        sequence, *first = x if isinstance(x, list) else [x]
        mask = None if first else context.masks.get(sequence)
        if mask is not None and mask.rank != 2:
            raise ShapeError(f"layer {self.title!r}: a mask of sequences is [batch, steps]; got {list(mask.shape)}")
        batch, _, features = sequence.shape
        z = _dropped(sequence, self.dropout, (None, 1, features), self.seed, context) @ p.kernel
        z = z if (bias := self.input_bias(p)) is None else z + bias
        ones = g.broadcast_to(g.constant(1.0), (batch, self.units))
        kept = _dropped(ones, self.recurrent_dropout, None, self.seed, context)

        def step(z: Tensor, *states: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            new = self.step(z, states[0] if kept is ones else states[0] * kept, states, p)
            return new, [new[0]]

        def masked(z: Tensor, counts: Tensor, *states: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            new, _ = step(z, *states)
            stay = [g.where(counts, after, before) for after, before in zip(new, states, strict=True)]
            return stay, [stay[0]]

        begin = first or [g.broadcast_to(g.constant(0.0), (batch, self.units))] * self.states
        if mask is None:
            last, [h] = g.scan(step, [z], begin, reverse=self.go_backwards, name=self.title)
            return h, last[0], last
        counts = g.expand_dims(mask, -1)
        last, [h] = g.scan(masked, [z, counts], begin, reverse=self.go_backwards, name=self.title)
        if not self.zero_output_for_mask:
            return h, last[0], last
        end = 0 if self.go_backwards else mask.shape[1] - 1  # type: ignore[operator]
        return g.where(counts, h, 0.0), g.where(g.slice(mask, [None, (end, end + 1)]), last[0], 0.0), last

    def answer(self, h: Tensor, end: Tensor, last: list[Tensor], context: Context) -> Any:
        """What the layer was asked to return."""
        y = h if self.return_sequences else end
        context.penalize(y, self.activity_regularizer)
        return [y, *last] if self.return_state else y

    def call(self, x: Any, p: Any, context: Context) -> Any:
        h, end, last = self.run(x, p, context)
        return self.answer(flipped(h) if self.go_backwards and self.return_sequences else h, end, last, context)

    def compute_mask(self, x: Any, mask: Any) -> Any:
        mask = mask[0] if isinstance(mask, list) else mask
        return mask if self.return_sequences else None


def flipped(x: Tensor) -> Tensor:
    """x (batch, steps, ...) with its steps in the other order."""
    order = (1, 0, *range(2, x.rank))
    backwards = g.constant(list(reversed(range(x.shape[1]))))  # type: ignore[arg-type]
    return g.transpose(g.take(g.transpose(x, order), backwards), order)


def _parts(z: Tensor, n: int) -> list[Tensor]:
    """z cut into `n` along its last axis."""
    width = z.shape[-1] // n  # type: ignore[operator]
    whole: list[Any] = [None] * (z.rank - 1)
    return [g.slice(z, [*whole, (i * width, (i + 1) * width)]) for i in range(n)]


@dataclass(eq=False, repr=False)
class SimpleRNN(_Recurrent):
    r"""$h_t = f(x_t W + h_{t-1} U + b)$: x (batch, steps, features), W (features, units), U (units, units).

    y: the last h, (batch, units); with `return_sequences` every one, (batch, steps, units); with `return_state` a list,
    y and the last h. go_backwards: from the last step to the first, and y is in that order, as in Keras. Training drops
    the same features of x at every step (`dropout`), and the same of h on its way to U (`recurrent_dropout`; Gal and
    Ghahramani, 2016; Keras's LSTM and GRU draw one for each gate). unroll: taken for Keras's sake. Raises `UsageError`
    for stateful=True. zero_output_for_mask: what is answered for a step that a mask leaves out is 0, and not what was
    answered before.

    Elman, "Finding structure in time" (1990).

    >>> from talweg.nn.layers import Input
    >>> SimpleRNN(16)(Input((28, 8))).shape, SimpleRNN(16, return_sequences=True)(Input((28, 8))).shape
    ((None, 16), (None, 28, 16))
    """

    units: int
    activation: Any = setting(activations.get, "tanh")
    use_bias: bool = True
    kernel_initializer: Any = setting(initializers.get, "glorot_uniform")
    recurrent_initializer: Any = setting(initializers.get, "orthogonal")
    bias_initializer: Any = setting(initializers.get, "zeros")
    kernel_regularizer: Any = setting(regularizers.get, None)
    recurrent_regularizer: Any = setting(regularizers.get, None)
    bias_regularizer: Any = setting(regularizers.get, None)
    activity_regularizer: Any = setting(regularizers.get, None)
    kernel_constraint: Any = setting(constraints.get, None)
    recurrent_constraint: Any = setting(constraints.get, None)
    bias_constraint: Any = setting(constraints.get, None)
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    seed: int | None = None
    _: KW_ONLY
    zero_output_for_mask: bool = False

    def step(self, z: Tensor, seen: Tensor, states: Sequence[Tensor], p: Any) -> list[Tensor]:
        return [self.activation(z + seen @ p.recurrent_kernel)]


@dataclass(eq=False, repr=False)
class LSTM(_Recurrent):
    r"""$c_t = f \odot c_{t-1} + i \odot g$ and $h_t = o \odot \tanh c_t$, with gates i, f, o and new content g.

    $[i, f, g, o] = x_t W + h_{t-1} U + b$, in this order as in Keras and PyTorch; i, f and o pass through
    `recurrent_activation`, g and c through `activation`. W (features, 4 units), U (units, 4 units), b (4 units,);
    unit_forget_bias: the part of b for f begins with 1 (Jozefowicz et al., 2015), in PyTorch with 0.
    Everything else is as in `SimpleRNN`; return_state adds h and c. use_cudnn: taken for Keras's sake.

    Hochreiter and Schmidhuber, "Long short-term memory" (1997); Gers et al. (2000) for f.
    """

    gates, states = 4, 2

    units: int
    activation: Any = setting(activations.get, "tanh")
    recurrent_activation: Any = setting(activations.get, "sigmoid")
    use_bias: bool = True
    kernel_initializer: Any = setting(initializers.get, "glorot_uniform")
    recurrent_initializer: Any = setting(initializers.get, "orthogonal")
    bias_initializer: Any = setting(initializers.get, "zeros")
    unit_forget_bias: bool = True
    kernel_regularizer: Any = setting(regularizers.get, None)
    recurrent_regularizer: Any = setting(regularizers.get, None)
    bias_regularizer: Any = setting(regularizers.get, None)
    activity_regularizer: Any = setting(regularizers.get, None)
    kernel_constraint: Any = setting(constraints.get, None)
    recurrent_constraint: Any = setting(constraints.get, None)
    bias_constraint: Any = setting(constraints.get, None)
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed: int | None = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    use_cudnn: Any = "auto"
    _: KW_ONLY
    zero_output_for_mask: bool = False

    def bias(self) -> Parameter:
        plain = super().bias()

        def first(shape: tuple[int, ...], random: RandomStream) -> Array:
            made = initializers.first_values(self.bias_initializer, shape, random)
            made[self.units : 2 * self.units] = 1
            return made

        return replace(plain, initializer=first) if self.unit_forget_bias else plain

    def step(self, z: Tensor, seen: Tensor, states: Sequence[Tensor], p: Any) -> list[Tensor]:
        i, f, content, o = _parts(z + seen @ p.recurrent_kernel, 4)
        gate = self.recurrent_activation
        c = gate(f) * states[1] + gate(i) * self.activation(content)
        return [gate(o) * self.activation(c), c]


@dataclass(eq=False, repr=False)
class GRU(_Recurrent):
    r"""$h_t = z \odot h_{t-1} + (1 - z) \odot g$, with an update gate z, a reset gate r and new content g.

    $[z, r] = \sigma(x_t W_{zr} + h_{t-1} U_{zr} + b_{zr})$, in Keras's order (PyTorch's is r, z). reset_after:
    $g = \tanh(x_t W_g + b_g + r \odot (h_{t-1} U_g + b'_g))$, as in PyTorch and cuDNN; b is (2, 3 units), the
    second row for the recurrent part. Without it, $g = \tanh(x_t W_g + b_g + (r \odot h_{t-1}) U_g)$ and b is
    (3 units,), as in Cho et al. (2014). W (features, 3 units), U (units, 3 units). The rest is as in `SimpleRNN`.
    """

    gates = 3

    units: int
    activation: Any = setting(activations.get, "tanh")
    recurrent_activation: Any = setting(activations.get, "sigmoid")
    use_bias: bool = True
    kernel_initializer: Any = setting(initializers.get, "glorot_uniform")
    recurrent_initializer: Any = setting(initializers.get, "orthogonal")
    bias_initializer: Any = setting(initializers.get, "zeros")
    kernel_regularizer: Any = setting(regularizers.get, None)
    recurrent_regularizer: Any = setting(regularizers.get, None)
    bias_regularizer: Any = setting(regularizers.get, None)
    activity_regularizer: Any = setting(regularizers.get, None)
    kernel_constraint: Any = setting(constraints.get, None)
    recurrent_constraint: Any = setting(constraints.get, None)
    bias_constraint: Any = setting(constraints.get, None)
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed: int | None = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    reset_after: bool = True
    use_cudnn: Any = "auto"
    _: KW_ONLY
    zero_output_for_mask: bool = False

    def bias(self) -> Parameter:
        return self.weight("bias", (2, 3 * self.units)) if self.reset_after else super().bias()

    def input_bias(self, p: Any) -> Tensor | None:
        return self._bias(p, 0) if self.use_bias else None

    def _bias(self, p: Any, row: int) -> Tensor:
        return g.reshape(g.slice(p.bias, [(row, row + 1), None]), (3 * self.units,)) if self.reset_after else p.bias

    def step(self, z: Tensor, seen: Tensor, states: Sequence[Tensor], p: Any) -> list[Tensor]:
        u, gate = p.recurrent_kernel, self.recurrent_activation
        if self.reset_after:
            inner = seen @ u + self._bias(p, 1) if self.use_bias else seen @ u
            inner_z, inner_r, inner_g = _parts(inner, 3)
        else:
            inner_z, inner_r = _parts(seen @ g.slice(u, [None, (0, 2 * self.units)]), 2)
        to_z, to_r, to_g = _parts(z, 3)
        update, reset = gate(to_z + inner_z), gate(to_r + inner_r)
        if self.reset_after:
            inner_g = reset * inner_g
        else:
            inner_g = (reset * seen) @ g.slice(u, [None, (2 * self.units, 3 * self.units)])
        return [update * states[0] + (1.0 - update) * self.activation(to_g + inner_g)]
