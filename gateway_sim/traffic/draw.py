"""Random integers that stay the same: raw words of PCG64, whose stream numpy keeps stable.

numpy's distributions may change between its versions, and their tails use the machine's logarithm.
`Streams` is the same generator for many keys at once: word k of a stream is had without those
before it, since the generator's step is x -> x * M + c (O'Neill, PCG, 2014, 4.3.1: jumping ahead).
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Words64 = npt.NDArray[np.uint64]
Words32 = npt.NDArray[np.uint32]

_LOW32 = np.uint64(0xFFFF_FFFF)
_32 = np.uint64(32)
_MULTIPLIER = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645
_POOL = 4
_SHIFT = np.uint32(16)


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


class Streams:
    """The sources `Draw(*before, key, *after)` for every key of a column; keys are below 2**32."""

    def __init__(self, before: tuple[int, ...], keys: Ints, after: tuple[int, ...] = ()) -> None:
        words = [np.full(keys.size, word, np.uint32) for word in _words32(before)]
        words.append(keys.astype(np.uint32))
        words += [np.full(keys.size, word, np.uint32) for word in _words32(after)]
        high, low, inc_high, inc_low = _seed(words)
        self._inc = (
            (inc_high << np.uint64(1)) | (inc_low >> np.uint64(63)),
            (inc_low << np.uint64(1)) | np.uint64(1),
        )
        one = _multiply(_add((high, low), self._inc), _pair([_MULTIPLIER]))
        self._state = _add(one, self._inc)

    def below(self, limit: Ints, stream: Ints, position: Ints) -> Ints:
        """Word `position` of each named stream, below its own limit (at least 1)."""
        powers, sums = _jumps(int(position.max(initial=0)).bit_length())
        state = tuple(part[stream] for part in self._state)
        inc = tuple(part[stream] for part in self._inc)
        high, low = _add(
            _multiply(state, (powers[0][position], powers[1][position])),
            _multiply(inc, (sums[0][position], sums[1][position])),
        )
        turn = high >> np.uint64(58)
        mixed = np.bitwise_xor(high, low)
        back = (np.uint64(64) - turn) & np.uint64(63)
        word: Words64 = np.bitwise_or(mixed >> turn, mixed << back)
        return (word % limit.astype(np.uint64)).astype(np.int64)


def _words32(keys: tuple[int, ...]) -> list[int]:
    """As numpy's SeedSequence cuts integers: words of 32 bits, the lowest first, one at least."""
    words = []
    for key in keys:
        words.append(key & 0xFFFF_FFFF)
        while key := key >> 32:
            words.append(key & 0xFFFF_FFFF)
    return words


class _Hash:
    """The running hash of numpy's SeedSequence (O'Neill's seed_seq_fe)."""

    def __init__(self, first: int, factor: int) -> None:
        self.constant, self.factor = first, factor

    def __call__(self, value: Words32) -> Words32:
        hashed: Words32 = value ^ np.uint32(self.constant)
        self.constant = self.constant * self.factor & 0xFFFF_FFFF
        hashed = hashed * np.uint32(self.constant)
        return hashed ^ (hashed >> _SHIFT)


def _mix(x: Words32, y: Words32) -> Words32:
    value: Words32 = x * np.uint32(0xCA01_F9DD) - y * np.uint32(0x4973_F715)
    return value ^ (value >> _SHIFT)


def _seed(words: list[Words32]) -> tuple[Words64, Words64, Words64, Words64]:
    """SeedSequence(words).generate_state(4, uint64), of many sequences of the same length."""
    mixed = _Hash(0x43B0_D7E5, 0x931E_8875)
    padded = words + [np.zeros_like(words[0])] * (_POOL - len(words))
    pool = [mixed(word) for word in padded[:_POOL]]
    for source in range(_POOL):
        for target in range(_POOL):
            if source != target:
                pool[target] = _mix(pool[target], mixed(pool[source]))
    for word in padded[_POOL:]:
        for target in range(_POOL):
            pool[target] = _mix(pool[target], mixed(word))
    drawn = _Hash(0x8B51_F9DD, 0x58F3_8DED)
    halves = [drawn(pool[n % _POOL]).astype(np.uint64) for n in range(8)]
    one, two, three, four = (halves[n] | (halves[n + 1] << _32) for n in range(0, 8, 2))
    return one, two, three, four


Pair = tuple[Words64, ...]
"""the high and the low half of integers of 128 bits"""


def _add(a: Pair, b: Pair) -> Pair:
    low = a[1] + b[1]
    return a[0] + b[0] + (low < a[1]), low


def _multiply(a: Pair, b: Pair) -> Pair:
    """The lower 128 bits of the products."""
    a0, a1, b0, b1 = a[1] & _LOW32, a[1] >> _32, b[1] & _LOW32, b[1] >> _32
    cross, other = a0 * b1, a1 * b0
    middle = (a0 * b0 >> _32) + (cross & _LOW32) + (other & _LOW32)
    high = a1 * b1 + (cross >> _32) + (other >> _32) + (middle >> _32)
    return high + a[0] * b[1] + a[1] * b[0], a[1] * b[1]


@lru_cache(maxsize=1)
def _jumps(bits: int) -> tuple[Pair, Pair]:
    """M**k and 1 + M + … + M**(k - 1), for k from 1 to 2**bits."""
    mask = (1 << 128) - 1
    powers, sums = [_MULTIPLIER], [1]
    for _ in range((1 << bits) - 1):
        powers.append(powers[-1] * _MULTIPLIER & mask)
        sums.append(sums[-1] * _MULTIPLIER + 1 & mask)
    return _pair(powers), _pair(sums)


def _pair(values: list[int]) -> Pair:
    high = np.array([value >> 64 for value in values], np.uint64)
    return high, np.array([value & (1 << 64) - 1 for value in values], np.uint64)
