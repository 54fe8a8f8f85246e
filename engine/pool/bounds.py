"""What may be said to a coupon store: names and figures that fit any database, or PoolError."""

import operator

from engine.errors import PoolError
from engine.pool.store import (
    BYTES_MAX,
    CODE_CHARACTERS_MAX,
    KINDS,
    REQUEST_CHARACTERS_MAX,
    Credit,
)

BOUGHT = "buy:"
"""what the names of coupons that were bought begin with"""
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


def checked_credit(credit: Credit) -> Credit:
    """The same with plain figures; PoolError for a name or a figure that cannot be."""
    name, contract, kind, amount, from_ns, until_ns = credit
    checked_text("credit", name, REQUEST_CHARACTERS_MAX)
    if name.startswith(BOUGHT):
        raise PoolError(f"credit {name}: names that begin with {BOUGHT} are of purchases")
    checked_text("contract", contract)
    if kind not in KINDS:
        raise PoolError(f"credit {name}: kind {kind!r} must be one of {', '.join(KINDS)}")
    return Credit(
        name,
        contract,
        kind,
        checked_bytes(f"credit {name}:", amount, 1),
        checked_time("credited_ns", from_ns),
        checked_time("expires_ns", until_ns),
    )
