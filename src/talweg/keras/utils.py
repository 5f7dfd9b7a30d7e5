"""`keras.utils`: one-hot labels, vectors of length one, and the seed of the whole process."""

from talweg.data.encoding import normalize, to_categorical
from talweg.nn.seeds import set_random_seed
from talweg.train.process import clear_session

__all__ = ["clear_session", "normalize", "set_random_seed", "to_categorical"]
