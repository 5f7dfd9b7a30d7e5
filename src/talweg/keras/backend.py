"""`keras.backend`: the few of its functions that mean something here."""

from talweg.train.process import clear_session, epsilon, floatx

__all__ = ["clear_session", "epsilon", "floatx"]
