"""Random integers that stay the same: raw words of PCG64, whose stream numpy keeps stable.

numpy's distributions may change between its versions, and their tails use the machine's logarithm.
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Draw:
    """A source of its own for each sequence of keys."""

    def __init__(self, *keys: int) -> None:
        self.bits = np.random.PCG64(np.random.SeedSequence(keys))

    def below(self, limit: int, count: int) -> Ints:
        """`count` integers from 0 to `limit - 1`; zeros where `limit` is below 2."""
        if limit < 2:
            return np.zeros(count, np.int64)
        words = self.bits.random_raw(count)
        return (words % np.uint64(limit)).astype(np.int64)
