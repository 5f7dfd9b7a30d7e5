"""The JAX engine: the same graph through `jax.numpy`, compiled by XLA, on an accelerator where there is one.

`rules` (what computes each operation), `engine` (the run). JAX is imported with this package, which nothing
imports before the engine is asked for. Raises `MissingExtraError` where it is not installed.
"""

from talweg.errors import MissingExtraError

try:
    from talweg.engines.jax.engine import Jax, JaxSession
except ImportError as error:
    raise MissingExtraError(
        f"the JAX engine needs JAX 0.8 or newer ({error}): pip install 'talweg[jax]', or for an NVIDIA GPU "
        "pip install 'talweg[jax]' 'jax[cuda12]'"
    ) from error

__all__ = ["Jax", "JaxSession"]
