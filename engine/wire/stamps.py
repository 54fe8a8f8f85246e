"""Time stamps of captures to nanoseconds since 1970, in exact integers (pcapng: if_tsresol)."""

from typing import Any

import numpy as np

from engine.jit import leaf
from engine.wire.state import BAD_STAMP

MULTIPLY = 0
"""INTERFACE.kind: `factor` ns per unit (units of 1 ns or longer)"""
DIVIDE = 1
"""`factor` units per ns (shorter decimal units)"""
BINARY = 2
"""a second has 2^`factor` units"""

SECOND_NS = 1_000_000_000
DECIMAL_MAX = 19
BINARY_MAX = 63
"""larger exponents leave no room for a second in 64 bits"""

_INT64_MAX = (1 << 63) - 1
_SECONDS_MAX = _INT64_MAX // SECOND_NS - 1


def resolution(tsresol: int) -> tuple[int, int] | None:
    """(kind, factor) for the byte of an if_tsresol option; None where it asks for too much."""
    exponent = tsresol & 0x7F
    if tsresol & 0x80:
        return (BINARY, exponent) if exponent <= BINARY_MAX else None
    if exponent > DECIMAL_MAX:
        return None
    return (MULTIPLY, 10 ** (9 - exponent)) if exponent <= 9 else (DIVIDE, 10 ** (exponent - 9))


@leaf
def binary_ns(half: Any, last: Any, digits: Any) -> Any:
    """ns, rounded down, of 2 * half + last units, 2^digits to the second; or BAD_STAMP."""
    if digits == 0:
        seconds = 2 * half + last if half <= _SECONDS_MAX else half
        fraction = np.int64(0)
    else:
        seconds = half >> (digits - 1)
        fraction = (half & ((np.int64(1) << (digits - 1)) - 1)) << 1 | last
    if seconds > _SECONDS_MAX:
        return np.int64(BAD_STAMP)
    # fraction * 10^9 has up to 93 bits: multiplied in two halves of 32 bits
    high_ns = (fraction >> 32) * SECOND_NS
    low_ns = (fraction & 0xFFFFFFFF) * SECOND_NS
    if digits < 32:
        return seconds * SECOND_NS + (low_ns >> digits)
    return seconds * SECOND_NS + ((high_ns + (low_ns >> 32)) >> (digits - 32))


@leaf
def stamp_ns(high: Any, low: Any, interface: Any) -> Any:
    """ns since 1970 of a pcapng packet's 64-bit stamp, rounded down; BAD_STAMP if too large."""
    kind = np.int64(interface["kind"])
    factor = np.int64(interface["factor"])
    half = high << 31 | low >> 1
    if kind == MULTIPLY:
        units = high << 32 | low
        if high >> 31 or units > _INT64_MAX // factor:
            return np.int64(BAD_STAMP)
        time_ns = units * factor
    elif kind == DIVIDE:
        # the divisor is even, so halving both keeps the quotient and clears the sign bit
        time_ns = half // (factor >> 1)
    else:
        time_ns = binary_ns(half, low & 1, factor)
        if time_ns == BAD_STAMP:
            return time_ns
    offset_ns = np.int64(interface["offset_ns"])
    if offset_ns > 0 and time_ns > _INT64_MAX - offset_ns:
        return np.int64(BAD_STAMP)
    return time_ns + offset_ns
