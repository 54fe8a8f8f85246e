"""What may be said to a coupon store: names and figures that fit any database, or PoolError."""

import operator

from engine.errors import PoolError
from engine.pool.store import BYTES_MAX, CODE_CHARACTERS_MAX

_TIME_LIMIT = 1 << 63


def checked_text(what: str, text: str, characters_max: int = CODE_CHARACTERS_MAX) -> str:
    """A name fit for messages and for any database: no control or invisible characters."""
    if not 1 <= len(text) <= characters_max or not text.isprintable():
        raise PoolError(f"{what} {text[:80]!r}: must be 1 to {characters_max} printable characters")
    return text


def checked_bytes(what: str, amount: int, least: int = 0) -> int:
    """An amount as a plain int (numpy's are taken as well) within bounds that no sum overflows."""
    number = operator.index(amount)
    if not least <= number <= BYTES_MAX:
        raise PoolError(f"{what} {number}: must be {least} to {BYTES_MAX} bytes")
    return number


def checked_time(what: str, ns: int) -> int:
    """An instant as a plain int that fits in int64."""
    number = operator.index(ns)
    if not -_TIME_LIMIT <= number < _TIME_LIMIT:
        raise PoolError(f"{what} {number}: must be ns since 1970 that fit in 64 bits")
    return number
