"""What an update rule is: a formula from a weight, its gradient and its slots to their values after the step.

Around the formula, and the same for every rule, as in Keras: gradients are summed over several batches where that is
asked for, then clipped; weights decay; then the rule; then a running average of the weights; then constraints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, TypeVar, cast

import numpy as np

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Array, Tensor
from talweg.optim import schedules
from talweg.registry import Described, Registry, refuse_overrides, setting

OPTIMIZERS: Registry[type[UpdateRule]] = Registry("optimizer")
FORMS = ("keras", "torch")

Slots = Mapping[str, Tensor]
Constraint = Callable[[Tensor], Tensor]
Number = TypeVar("Number", Tensor, float)

EMA, SUM = "ema", "gradient_sum"  # what is kept of each weight besides the rule's slots


def as_form(value: Any) -> str:
    """ "keras" or "torch"; raises `UsageError` for anything else."""
    if value not in FORMS:
        raise UsageError(f"form must be 'keras' or 'torch', whose formula is meant where they differ; got {value!r}")
    return str(value)


PASSED_OVER = dict.fromkeys(
    ("build", "update_step", "apply", "apply_gradients", "minimize", "add_variable", "get_config"),
    "write slots and update, formulas on tensors; the fields of the dataclass are what is saved",
)
"""Methods that Keras calls where a subclass writes them, and what to do here."""


@dataclass(eq=False, repr=False)
class UpdateRule(Described):
    """The base of all optimizers: subclasses write `slots` and `update`.

    learning_rate    a number, a schedule (a formula on the step), or any function of the step's number
    weight_decay     λ: each step first takes off λ · rate · w (Loshchilov and Hutter, 2019); None for none
    clipnorm         the largest length that the gradient of one weight array may have
    clipvalue        the largest size that one element of a gradient may have
    global_clipnorm  the largest length that all gradients together, as one vector, may have
    use_ema          keep a running average of each weight, a ← μ a + (1 - μ) w with a = w at first (Polyak and
                     Juditsky, 1992), and put it in the weight's place when a fit ends
    ema_momentum     its μ
    ema_overwrite_frequency      put it in the weight's place also after every so many steps
    gradient_accumulation_steps  take one step for the mean gradient of so many batches, at least 2; a schedule, and
                     the rule's own step, then count these steps and not the batches
    form             "keras" or "torch": whose formula is meant, where a rule's docstring says that they differ
    decoupled_weight_decay  False: λ w is added to the (clipped) gradient instead, as PyTorch does for all rules but
                     AdamW, Adafactor and Muon. None: as the `form` has it

    The defaults are Keras's; for rules that only PyTorch has, PyTorch's. At most one kind of clipping can be given. The
    learning rate may be assigned at any time: it is an input of the compiled program.
    """

    registry: ClassVar[Registry[Any]] = OPTIMIZERS
    assignable: ClassVar[frozenset[str]] = frozenset({"learning_rate"})
    searches: ClassVar[bool] = False
    """Whether a step looks at the loss more than once, so that it is no formula: see `LBFGS`."""
    torch_decouples: ClassVar[bool] = False
    """Whether PyTorch's rule of this name takes the decay off the weight."""
    ranges: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm"), "(0, inf]"),
        **dict.fromkeys(("weight_decay", "epsilon"), "[0, inf)"),
        **dict.fromkeys(("momentum", "rho", "ema_momentum"), "[0, 1]"),
        **dict.fromkeys(("beta_1", "beta_2"), "[0, 1)"),
        **{"ema_overwrite_frequency": "{1, 2, ...}", "gradient_accumulation_steps": "{2, 3, ...}"},
    }
    """For rules of any kind, by the names that their settings have in Keras; see `check_ranges`."""

    learning_rate: Any = setting(schedules.get, 0.001)
    _: KW_ONLY
    weight_decay: float | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    ema_overwrite_frequency: int | None = None
    gradient_accumulation_steps: int | None = None
    name: str | None = None
    form: str = setting(as_form, "keras")
    decoupled_weight_decay: bool | None = None

    def __init_subclass__(cls) -> None:
        refuse_overrides(cls, PASSED_OVER)
        OPTIMIZERS.register(cls.__name__, cls, cls.__name__.lower())

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [k for k in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, k) is not None]
        if len(given) > 1:
            raise UsageError(f"give one of clipnorm, clipvalue and global_clipnorm; got {', '.join(given)}")

    # ── what a rule writes ────────────────────────────────────────────────────────────────────────────────

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        """What the rule remembers of `w`: names, and the value that all elements begin with.

        A slot with another shape than w's is given as an array.
        """
        return {}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        """w and the slots after the step, from w, its gradient g and the slots s before; `step` is 1 at the first."""
        raise UsageError(f"{type(self).__name__} must define update(w, g, s, step, rate)")

    # ── one step of training, around the rule ─────────────────────────────────────────────────────────────

    def apply(
        self,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor],
        iterations: Tensor,
        rate: Tensor,
        constraints: Mapping[str, Constraint] | None = None,
    ) -> tuple[list[Tensor], dict[Tensor, Tensor]]:
        """The states that the rule keeps, and the values of weights and states after one batch.

        gradients: of the batch, one for each weight. iterations: the number of batches before it. constraints: for
        some of the weights, by name, what is done to them after each batch.
        """
        kept = {name: g.state_tensor(name, first.shape) for name, first in self.memory(weights).items()}
        batches = g.cast(iterations, "float")
        done, every = self.steps_in(batches), self.gradient_accumulation_steps
        is_step = None if every is None else g.equal((done + 1.0) * every, batches + 1.0)

        def settled(new: Tensor, old: Tensor) -> Tensor:
            """The new value where this batch ends a step."""
            return new if is_step is None else g.where(is_step, new, old)

        after: dict[Tensor, Tensor] = {}
        if every is not None:
            sums = [kept[slot_name(w, SUM)] for w in weights]
            totals = [d + before for d, before in zip(gradients, sums, strict=True)]
            after |= {before: settled(g.zeros_like(total), total) for before, total in zip(sums, totals, strict=True)}
            gradients = [total / every for total in totals]
        for w, d in zip(weights, self.clipped(gradients) if gradients else [], strict=True):
            own = {slot: kept[slot_name(w, slot)] for slot in self.slots(w)}
            new, fresh = self.update(*self.decayed(w, d, rate), own, done + 1.0, rate)
            after |= {before: settled(fresh[slot], before) for slot, before in own.items()}
            new = settled(new, w)
            if self.use_ema:
                average = kept[slot_name(w, EMA)]
                after[average] = self._averaged(average, new, done)
                if (often := self.ema_overwrite_frequency) is not None:
                    is_time = g.equal(g.floor((done + 1.0) / often) * often, done + 1.0)
                    new = g.where(is_time, after[average], new)
            constraint = (constraints or {}).get(w.name)
            after[w] = new if constraint is None else constraint(new)
        return list(kept.values()), after

    def memory(self, weights: Sequence[Tensor]) -> dict[str, Array]:
        """The first value of all that is kept from step to step, by the state's name."""
        every = {EMA: self.use_ema, SUM: self.gradient_accumulation_steps is not None}
        first: dict[str, Array] = {}
        for w in weights:
            slots = {**self.slots(w), **{name: 0.0 for name, is_used in every.items() if is_used}}
            for slot, value in slots.items():
                shape = value.shape if isinstance(value, np.ndarray) else dims(w)
                first[slot_name(w, slot)] = np.broadcast_to(value, shape)
        return first

    def steps_in(self, batches: Number) -> Number:
        """How many steps were done when so many batches have been seen."""
        every = self.gradient_accumulation_steps
        if every is None:
            return batches
        return g.floor(batches / every) if isinstance(batches, Tensor) else math.floor(batches / every)

    def final_weights(self, memory: Mapping[str, Array]) -> dict[str, Array]:
        """What the weights become when a fit ends, by name: with `use_ema` their averages, else nothing changes."""
        if not self.use_ema:
            return {}
        return {n.removeprefix("optimizer/")[: -len(f"/{EMA}")]: a for n, a in memory.items() if n.endswith(f"/{EMA}")}

    def clipped(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The gradients, made shorter where they are longer than allowed (Pascanu et al., 2013)."""
        if self.clipvalue is not None:
            return [g.clip(x, -self.clipvalue, self.clipvalue) for x in gradients]
        if self.clipnorm is not None:
            return [shorten(x, g.l2_norm([x]), self.clipnorm) for x in gradients]
        if self.global_clipnorm is not None:
            length = g.l2_norm(gradients)
            return [shorten(x, length, self.global_clipnorm) for x in gradients]
        return list(gradients)

    def decay_of(self, w: Tensor) -> float | None:
        """λ for the weight `w`."""
        return self.weight_decay

    def decayed(self, w: Tensor, gradient: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        """w and its gradient, before the rule proper: the decay is taken off the one, or added to the other."""
        decay = self.decay_of(w)
        if not decay:
            return w, gradient
        decouples = self.form == "keras" or self.torch_decouples
        if self.decoupled_weight_decay if self.decoupled_weight_decay is not None else decouples:
            return (w - w * (decay * rate)).named(f"{w.name}/decayed"), gradient  # rules may look at names
        return w, gradient + decay * w

    def _averaged(self, average: Tensor, new: Tensor, done: Tensor) -> Tensor:
        momentum = g.where(g.equal(done, 0.0), 0.0, self.ema_momentum)
        return momentum * average + (1.0 - momentum) * new


def dims(w: Tensor) -> tuple[int, ...]:
    """The shape of a weight, none of whose axes is the batch's."""
    return cast("tuple[int, ...]", w.shape)


def slot_name(w: Tensor, slot: str) -> str:
    """The name of the state that keeps `slot` of `w`."""
    return f"optimizer/{w.name}/{slot}"


def shorten(gradient: Tensor, length: Tensor, longest: float) -> Tensor:
    """`gradient` · longest / max(length, longest)."""
    return gradient * (longest / g.maximum(length, longest))


def get(identifier: Any) -> UpdateRule:
    """An update rule from its name, its class or its configuration."""
    if isinstance(identifier, UpdateRule):
        return identifier
    if isinstance(identifier, str):
        return OPTIMIZERS.get(identifier)()
    if isinstance(identifier, dict):
        made: UpdateRule = UpdateRule.from_config(identifier)
        return made
    if isinstance(identifier, type) and issubclass(identifier, UpdateRule):
        return identifier()
    raise UsageError(f"optimizer must be a name or an optimizer such as Adam(1e-3); got {identifier!r}")
