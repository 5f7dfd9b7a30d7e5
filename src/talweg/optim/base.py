"""What an update rule is: a formula from a weight, its gradient and its slots to their values after the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.optim import schedules
from talweg.registry import Described, Registry, setting

OPTIMIZERS: Registry[type[UpdateRule]] = Registry("optimizer")

Slots = Mapping[str, Tensor]


@dataclass(eq=False, repr=False)
class UpdateRule(Described):
    """The base of all optimizers: subclasses write `slots` and `update`.

    learning_rate    a number, a schedule (a formula on the step), or any function of the step's number
    weight_decay     λ: each step first takes off λ · rate · w (Loshchilov and Hutter, 2019); None for none
    clipnorm         the largest length that the gradient of one weight array may have
    clipvalue        the largest size that one element of a gradient may have
    global_clipnorm  the largest length that all gradients together, as one vector, may have

    At most one kind of clipping can be given. The learning rate may be assigned at any time: it is an input of the
    compiled program.
    """

    registry: ClassVar[Registry[Any]] = OPTIMIZERS
    assignable: ClassVar[frozenset[str]] = frozenset({"learning_rate"})

    learning_rate: Any = setting(schedules.get, 0.001)
    _: KW_ONLY
    weight_decay: float | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    name: str | None = None

    def __init_subclass__(cls) -> None:
        OPTIMIZERS.register(cls.__name__, cls, cls.__name__.lower())

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = ("clipnorm", "clipvalue", "global_clipnorm")
        given = {k: getattr(self, k) for k in kinds if getattr(self, k) is not None}
        if len(given) > 1:
            raise UsageError(f"give one of clipnorm, clipvalue and global_clipnorm; got {', '.join(given)}")
        if any(not v > 0 for v in given.values()):
            raise UsageError(f"{next(iter(given))} must be above 0; got {next(iter(given.values()))}")

    def slots(self) -> Mapping[str, float]:
        """What the rule remembers of each weight: names, and the value that all elements begin with."""
        return {}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        """w and the slots after the step, from w, its gradient g and the slots s before; `step` is 1 at the first."""
        raise UsageError(f"{type(self).__name__} must define update(w, g, s, step, rate)")

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

    def decayed(self, w: Tensor, rate: Tensor) -> Tensor:
        """w with its decay taken off, before the rule proper."""
        return w - w * (self.weight_decay * rate) if self.weight_decay else w


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
